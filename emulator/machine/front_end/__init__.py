"""Fetch, decoder, queues, tokens, start and end of a run."""
