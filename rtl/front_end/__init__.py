"""Registers, fetch, decoder, queues, tokens, start and end of a run."""
