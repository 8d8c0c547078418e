"""Sizes and waiting times of the front end that RTL and machine share."""

FETCH_AHEAD = 12
"""Instructions that are fetched, or asked for, ahead of the one being decoded."""
SETTLE_CYCLES = 3
"""Cycles that nothing may move before the end or a deadlock is believed, and that the choice among faults takes."""
INDEX_BITS = 20
"""Width of an instruction's index in its program."""
DECODE_STAGES = 3
"""Cycles from an instruction's arrival in the decoder to the one in which it enters its unit's queue."""
