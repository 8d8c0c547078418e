"""Widths of an instruction, and sizes of what instructions address, the same in every config."""

INSTRUCTION_BYTES = 32
INSTRUCTION_BITS = 8 * INSTRUCTION_BYTES
OPCODE_BITS = 8
PARAMETER_ENTRIES = 16
"""Entries of a lane's parameter memory."""
PARAMETER_ROWS = 9
"""Rows of an entry in use: bias (4), multiplier (4), shift (1), low byte first; weights' zero points may follow."""
WEIGHT_ZERO_POINT_ROW = 9
"""Row of an entry with the zero points of the weights, where the config has them."""
PARAMETER_PITCH = 16
"""Rows from entry to entry where a LOAD writes parameters; rows of an entry that are not in use are dropped."""
COUNTER_ROWS = 12
"""Rows of COUNTERS: overflowed accumulations, clipped outputs, clipped sums of the adder; 4 each, low byte first."""
ADDRESS_BITS = 20
"""Scratchpad row addresses are computed modulo 2^20, then compared with the memory's depth."""
TOKEN_BITS = 8
"""Width of a token counter; a token more than it holds is an error."""
DEPTHWISE_WORDS = 64
"""Words of a lane's depthwise weights; a word has a code for each of its taps."""
DEPTHWISE_PITCHES = {1: 1, 3: 4, 9: 16}
"""Taps a cycle → rows from word to word where a LOAD writes depthwise weights; rows that are no tap are dropped."""
DEPTHWISE_SUMS = 64
"""Partial sums of a lane that wait between the segments of a DEPTHWISE: most outputs of a strip."""
RAW_BYTES = 6
"""Bytes of the widest sum."""
QUEUE_DEPTH = 16
"""Instructions that wait in front of each unit."""
