"""What the instructions, errors and memories do, in words: the hand-written half of the instruction-set reference."""

from __future__ import annotations

from emulator.bus import OUTSTANDING
from emulator.config import AcceleratorConfig
from emulator.instructions import (
    COLUMN_BLOCKS,
    COUNTER_ROWS,
    DEPTHWISE,
    DEPTHWISE_SUMS,
    DEPTHWISE_WORDS,
    RAW_OUTPUTS,
    RESCALED_ADDER,
    Error,
    Opcode,
    Target,
)
from emulator.timing import (
    ADDER_LATENCY,
    OPERAND_CODE_DELAY,
    RESCALED_ADDER_LATENCY,
    RESULT_DELAY,
    SUM_READ_DELAY,
    SUM_WRITE_DELAY,
    WINDOW_LATENCY,
    WINDOW_SETUP_CYCLES,
    depthwise_delay,
    depthwise_round_trip,
    group_write_delay,
    settings_delay,
)

SEMANTICS = {
    Opcode.HALT: """
The last instruction of a program. The sequencer fetches nothing behind it; the run ends when all queues are empty,
no unit is busy and no transaction is outstanding. HALT has no tokens and waits for everything by itself.
""",
    Opcode.LOAD: """
For line l = 0 … `lines` − 1 and pixel p = 0 … `pixels` − 1, `pixel_bytes` bytes from byte `memory_address` + l ·
`line_stride` + p · `pixel_stride` (modulo 2³²) of the memory region go to the rows `row` + (l · `pixels` + p) ·
`pixel_rows` + j, j = 0, 1, …, of the memory `target`, one byte per lane; the last row of a pixel is filled up with
0.

Row addresses are computed modulo 2²⁰. A pixel is checked as a whole before its first burst: its bytes must lie in
the region, its rows in the memory, or the instruction stops with ADDRESS and the pixels before it are still
written. Bytes of one pixel that follow each other in memory are read in bursts of up to 256 words that do not cross
4 KiB; memory is read in whole words, and bytes beside the pixels are dropped.
""",
    Opcode.STORE: """
The inverse of LOAD out of the output scratchpad: row `row` + (l · `pixels` + p) · `pixel_rows` + j holds the bytes
from j · columns of pixel p of line l, and byte `memory_address` + l · `line_stride` + p · `pixel_stride` (modulo
2³²) of the region receives its first. The last row of a pixel gives as many bytes as `pixel_bytes` leaves; no other
byte of memory changes. The checks are those of LOAD.
""",
    Opcode.CONVOLVE: """
For kernel line i, kernel pixel j and channel row k (in this order, k fastest) the weight tile at weight scratchpad
row `weight_row` + ((i · `kernel_width` + j) · `channel_rows` + k) · rows, of rows × columns codes, meets every
output position (y, x), x fastest. Its input pixel is line y · `stride_height` − `pad_top` + i · `dilation_height`,
pixel x · `stride_width` − `pad_left` + j · `dilation_width`; where that lies outside `input_height` × `input_width`
it contributes 0, otherwise the codes of activation scratchpad row `input_row` + (line · `input_width` + pixel) ·
`pixel_rows` + k, less `zero_point`, are multiplied with the tile and added lane by lane, row after row of the tile,
with overflow_P after each step (contract, section 2). Where the config has `weight_zero_points`, the tile's codes are
taken less the lanes' zero points of entry `parameters`, also with `carry` 1 (contract, section 9).

Position number n = y · `output_width` + x has its sums, `columns` of them, in accumulator row `accumulator_row` +
n. They begin at the lanes' biases of entry `parameters`, or with `carry` 1 at what the accumulator memory holds,
overflow flags included. Both dataflows give the same bits.

With `further_blocks` B above 0, which only the weight stationary dataflow has, there are B + 1 column blocks: the tile
of block b is the one at row `weight_row` + (((i · `kernel_width` + j) · `channel_rows` + k) · (B + 1) + b) · rows, its
sums lie in the accumulator rows b · `output_height` · `output_width` further on, and its entry is number `parameters` +
b, modulo the number of entries. A block's sums are on their way while the next block's tile is computed, so that few
positions need not wait for them.
""",
    Opcode.REQUANTIZE: """
For n = 0 … `count` − 1 the sums of accumulator row `accumulator_row` + n become codes: clamp(`zero_point` +
round(sum · multiplier / 2^shift), `y_min`, `y_max`) with each lane's multiplier and shift of entry `parameters`
(contract, section 3). Where `y_min` is above `y_max`, every code is `y_max`; so it is in REDUCE and ADDER. With
`add` 1 the code and the operand scratchpad's code of row `operand_row` + n · `operand_stride` then go through the
adder as ADDER has set it; with `table` 1 the code is then looked up in the lane's table. The result goes to output
scratchpad row `output_row` + n · `output_stride`.

With `byte` n above 0, which only a config with `raw_outputs` has, byte n − 1 of the sum, sign-extended, takes the
place of the requantized code, and nothing clips in the requantizer: so many instructions as a sum has bytes store it
whole.

Where the counters are built, each of the first `lanes` lanes counts sums whose overflow flag is set, codes that the
requantizer clipped and codes that the adder clipped: rounded value plus zero point outside the codes of
activation_bits.

With `further_blocks` B above 0 there are B + 1 column blocks, one after the other. The sums of block b begin at
accumulator row `accumulator_row` + b · `count`, its operands at `operand_row` + b, its results at `output_row` + b, and
its entry is number `parameters` + b, modulo the number of entries. Behind each block but the last one, where the
counters are built, they are stored as COUNTERS does it, those of block b from output scratchpad row `counter_row` +
12 · b on. Tokens are given when the last block has ended.
""",
    Opcode.REDUCE: """
For every output position n (`output_width` fastest) the window's codes in the operand scratchpad, found as CONVOLVE
finds its input pixels, become one operand per lane; positions outside the input contribute nothing. Modes: 0 the
largest code; 1 the sum of code − `input_zero_point`; 2 the product of (first code − `input_zero_point`) and (last
code − `second_zero_point`) of the window; 3 the first code − `input_zero_point`. The operand is requantized as
REQUANTIZE does it; multiplier and shift of an entry that keep a code as it is serve for mode 0, whose codes keep
their zero point. With `add` 1 the result and the code of the window's last position go through the adder, with
`table` 1 the table follows. The result goes to output scratchpad row `output_row` + n · `output_stride`.
""",
    Opcode.DEPTHWISE: f"""
A depthwise convolution of `columns` channels (only with `depthwise_taps` T above 0). For every output position n
(`output_width` fastest) and lane, the window's codes in the operand scratchpad, found as REDUCE finds them and less
`input_zero_point`, are multiplied with the lane's weights and added in the order of kernel lines and pixels, with
overflow_P after each step (contract, section 2); positions outside the input contribute nothing. A sum begins at the
lane's bias of entry `parameters`, with `carry` 1 at waiting sum n mod {DEPTHWISE_SUMS}, overflow flag included. With
`keep` 1 it becomes that waiting sum, and nothing is counted or written; otherwise it is requantized, counted and
looked up as in REQUANTIZE, and goes to output scratchpad row `output_row` + n · `output_stride`. So a kernel can be cut
over several instructions, each with its own weights and part of the input. An instruction without `keep` may leave
anything in the waiting sums.

The kernel is walked in segments, each with one of the {DEPTHWISE_WORDS} words of T weights, from `weight_word` on
(modulo {DEPTHWISE_WORDS}). T = 1: each tap is a segment. T = 3: up to 3 pixels of a kernel line. T = 9: up to 3 kernel
lines of up to 3 pixels, place 3 · line + pixel in the word; of kernels wider than 3, up to 9 pixels of a line. With
`dilation_width` above 1 and `kernel_width` above 1, each tap is a segment. Weights of a word that belong to no tap must
be 0, or the lane's zero point where the config has `weight_zero_points`: otherwise they add products of other codes.
LOAD writes weight t of word w as row w · pitch + t of the memory, the pitch being 1, 4, 16 for T = 1, 3, 9; rows that
are no weight are dropped.
""",
    Opcode.ADDER: """
Sets the adder for the REQUANTIZE and REDUCE instructions behind it, until the next ADDER: y = clamp(`zero_point` +
round(((a − `a_zero_point`) · `a_multiplier` ± (b − `b_zero_point`) · `b_multiplier`) / 2^`shift`), `y_min`,
`y_max`), where a is the requantized code and b the operand scratchpad's; minus with `subtract` 1 (contract, section
4). A run begins with all of them 0.

A config whose arithmetic has the adder "rescaled" rounds each operand for itself (contract, section 11): y =
clamp(`zero_point` + round((a' ± b') · `multiplier` / 2^`shift`), `y_min`, `y_max`), a' = round((a − `a_zero_point`) ·
2²⁰ · `a_multiplier` / 2^`a_shift`), and b' likewise; a' ± b' is kept in 29 signed bits, which it fits as long as no
operand is scaled by more than ½. Of each multiplier multiplier_bits count. Elsewhere these three fields do not exist.
""",
    Opcode.COUNTERS: """
Writes what each lane has counted since the start of the run to the output scratchpad's rows from `output_row` on,
four rows each, the lowest byte first: overflowed sums, clipped outputs, clipped sums of the adder. The counts go
on. Where the config has no counters the opcode is illegal.
""",
}

OUTPUT_DELAY = f"{RESULT_DELAY} + columns"
GROUP_ISSUE = WINDOW_SETUP_CYCLES + 1 + WINDOW_LATENCY
GROUP_READ = OPERAND_CODE_DELAY - 1
GROUP_WRITE = group_write_delay(AcceleratorConfig(rows=1)) - 2
"""The parts of the output-stationary delays that do not depend on the rows."""
FIRST_ISSUE = 4
"""Cycles from taking a REQUANTIZE or COUNTERS to its first position's issue at the earliest."""
SETTINGS_FREE = settings_delay(AcceleratorConfig()) + FIRST_ISSUE - 1
"""Cycles from an instruction's last position to the first one of one with other settings at the earliest."""
ADDER_CYCLES = 5
"""Cycles from taking an ADDER to its end at the earliest."""

TIMING = {
    Opcode.HALT: "",
    Opcode.LOAD: f"""
each cycle, the bytes that one beat and one row have in common move: a bus as wide as a row and aligned with it
fills a row a cycle. A row is written four cycles after the beat with its last byte; the instruction ends with its
last row. Up to {OUTSTANDING} bursts are outstanding, and the next instruction's are asked for while the beats of the
one before still come, so that the memory's latency is not paid for each of them. Three instructions are under way: a
fourth one is taken once the last beat of the first has come.
""",
    Opcode.STORE: """
as LOAD in the other direction. The instruction ends two cycles after the response to its last burst; the next one is
under way from when the rows of this one have been read.
""",
    Opcode.CONVOLVE: f"""
the unit prepares an instruction in {WINDOW_SETUP_CYCLES} cycles, while it still executes the one before. Weight
stationary, one position of one tile is issued per cycle, {WINDOW_LATENCY} cycles after its turn; the next tile's
weights take `rows` cycles to load and load meanwhile. Accumulator lane 0 reads a carried sum {SUM_READ_DELAY}
cycles after the issue and writes the new one rows + {SUM_WRITE_DELAY} cycles after it, so a tile of fewer than rows
+ {SUM_WRITE_DELAY + 1 - SUM_READ_DELAY} positions waits for the sums that it carries on: those of the tile before,
or with several column blocks of one before that. The instruction ends when lane 0 writes the last sum; the next one
follows without a gap. With `packed_multipliers` lane 0 reads and writes a cycle later.

Output stationary, positions form groups of `rows`, the last one perhaps of fewer, whose sums stay in the array while
all tiles pass, in `rows` cycles each; with rows = 1 a group takes one cycle more. With s = ⌈⌈log2 rows⌉ / 2⌉, d = 0, or
2 with `packed_multipliers`, and a = max(1, rows − 4 − s − d) an instruction's first position is issued a +
{GROUP_ISSUE} cycles after the unit has taken it, if the array is idle. Lane 0 reads the carried sum of a group's
position p = 0 … rows − 1 in cycle s + d + {GROUP_READ} − p from its first position's issue on, and writes its result in
cycle 2 · rows + s + d + {GROUP_WRITE} − p from the one on in which the next group's first position is issued, or would
be if there were one. The instruction ends with the last of these writes, that of position 0. The next one's first issue
comes a + {WINDOW_SETUP_CYCLES + 1} cycles after its own at the earliest: without a gap if its groups take as long,
otherwise also no less than `rows` cycles after their end. With `carry` 1 it comes a + {WINDOW_LATENCY + 1} cycles after
the end of the one before at the earliest.
""",
    Opcode.REQUANTIZE: f"""
a position per cycle, the first one {FIRST_ISSUE} cycles after the unit has taken the instruction; a position waits
while CONVOLVE reads a carried sum from the same accumulator bank and, where columns share post-process lanes, until
columns / lanes cycles after the one before. A row of the output scratchpad is written
{OUTPUT_DELAY} cycles after its position, {RESCALED_ADDER_LATENCY - ADDER_LATENCY} more with the rescaled adder, and the
instruction ends in the cycle after the last one. The unit takes the next instruction once the last position is issued.
Its first one is issued {SETTINGS_FREE} cycles after that at the earliest, {RESCALED_ADDER_LATENCY - ADDER_LATENCY} more
with the rescaled adder, columns more where columns share lanes, when the lanes are done with the settings of the
instruction before; of two instructions under way, the first one has to end before a third one begins. Each column
block, and the COUNTERS behind it, takes the cycles of an instruction of its own that the unit takes a cycle after the
last position of the one before.
""",
    Opcode.REDUCE: f"""
a window position per cycle, the first one {FIRST_ISSUE + WINDOW_SETUP_CYCLES} cycles after the unit has taken the
instruction; where columns share lanes, a window's last one comes columns / lanes cycles after the window before's at
the earliest. A row of the output scratchpad is written {OUTPUT_DELAY} cycles after its window's last position,
{RESCALED_ADDER_LATENCY - ADDER_LATENCY} more with the rescaled adder, and the instruction ends in the cycle after the
last one.
""",
    Opcode.DEPTHWISE: f"""
with several segments, an output line is cut into strips of up to {DEPTHWISE_SUMS} outputs. For each strip and
segment one position is issued per cycle, (n − 1) · min(`stride_width`, c) + c of them for n outputs and c pixels of a
kernel line; with several segments, at least T + {depthwise_round_trip(0)} cycles. The first one comes
{FIRST_ISSUE + WINDOW_SETUP_CYCLES} cycles after the unit has taken the instruction. A row of the output scratchpad is
written T + {RESULT_DELAY + depthwise_delay(0)} + columns cycles after the last segment's first code of its output,
{RESCALED_ADDER_LATENCY - ADDER_LATENCY} more with the rescaled adder, and the instruction ends in the cycle after the
last one.
""",
    Opcode.ADDER: f"""
it ends {ADDER_CYCLES} cycles after the unit has taken it, or {ADDER_CYCLES - 1} cycles after the end of the one before.
""",
    Opcode.COUNTERS: f"""
as a REQUANTIZE of {COUNTER_ROWS} positions that reads no accumulators, whose first one is issued already
{FIRST_ISSUE + 1} cycles after the last one of the instruction before, columns more where columns share lanes, and T +
{depthwise_delay(0) + FIRST_ISSUE + 1} cycles after that of a DEPTHWISE.
""",
}

ERRORS = {
    Error.NONE: "no error",
    Error.OPCODE: "the first byte is no opcode, or one of hardware that the config leaves out: COUNTERS, DEPTHWISE",
    Error.FIELD: "a field's value is not legal, or a bit behind the format is not 0",
    Error.ADDRESS: "a row outside its memory, or a byte outside the memory region",
    Error.PROGRAM_END: "the program ends without HALT; the index is that of the instruction that is not there",
    Error.DEADLOCK: "nothing can issue, no unit is busy, no transaction is outstanding, and HALT is not reached",
    Error.BUS: "the memory answered with an error response",
    Error.TOKEN: "a token more than a counter holds",
}

TARGETS = {
    Target.ACTIVATION: ("activation scratchpad", "activation_scratchpad_bytes / rows", "rows", "LOAD", "CONVOLVE"),
    Target.WEIGHT: ("weight scratchpad", "weight_scratchpad_bytes / columns", "columns", "LOAD", "CONVOLVE"),
    Target.OPERAND: ("operand scratchpad", "operand_scratchpad_bytes / columns", "columns", "LOAD", "POST_PROCESS"),
    Target.PARAMETER: ("parameters", "256", "columns", "LOAD", "CONVOLVE (bias, zero points), POST_PROCESS"),
    Target.TABLE: ("table", "2^activation_bits", "columns", "LOAD", "POST_PROCESS"),
    Target.DEPTHWISE: ("depthwise weights", "64 · pitch (DEPTHWISE)", "columns", "LOAD", "POST_PROCESS"),
}
"""Memory, rows, bytes of a row, writer, reader."""

FEATURES = {
    "": "",
    RESCALED_ADDER: '; only with the adder "rescaled"',
    RAW_OUTPUTS: "; only with `raw_outputs`",
    DEPTHWISE: "; the largest only with `depthwise_taps`",
    COLUMN_BLOCKS: "; only weight stationary",
}
"""Which configs have a field."""
