"""The data side of a transfer: walks the overlaps of memory words and scratchpad rows."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.bus import burst_beats
from emulator.instructions import ADDRESS_BITS, Opcode

from ..fields import fields_layout
from .bursts import LANE_BITS, PixelWalk


def rotate_left(value: Value, amount: Value) -> Value:
    """A value of 2^n bytes rotated by `amount` (n bits) bytes towards the most significant one."""
    for level in range(exact_log2(len(value) // 8)):
        value = Mux(amount[level], value.rotate_left(8 << level), value)
    return value


def rotate_right(value: Value, amount: Value) -> Value:
    """A value of 2^n bytes rotated by `amount` (n bits) bytes towards the least significant one."""
    for level in range(exact_log2(len(value) // 8)):
        value = Mux(amount[level], value.rotate_right(8 << level), value)
    return value


def reaches_zero(a: Value, b: Value, c: Value, plus: int) -> Value:
    """Whether a + b + c + `plus`, 1 or 2, is not negative; of as many bits each, which hold the signed sum, too.

    Bits are carried once.
    """
    sums, carries = a ^ b ^ c, (a & b) | (a & c) | (b & c)
    return ~(Cat(C(1, 1), C(plus - 1, 1), carries) + Cat(C(1, 1), sums))[len(a)]


class OverlapWalk(wiring.Component):
    """An overlap is as many bytes as both the current word and the current row still have; its place in both is shown.

    Members
    -------
    first, first_lanes : a transfer's instruction, and bytes of a row, from two cycles before its first overlap shows
    fields, lanes : the same, constant from then on
    begins : the next pixel is a transfer's first one; known early in the cycle, and true until it is stepped to
    starts : with `begins`: the next `step` goes to it, whatever is shown
    step : go to the next overlap
    row, lane : scratchpad row, and the overlap's first byte in it
    word_left : bytes of the word from the overlap's first on, 1 to bus_bytes
    size : bytes of the overlap
    rotation : bytes from the overlap's place in the word up to its place in the row, modulo bus_bytes
    word_ends, row_ends : the overlap is the last one of its word, of its row
    burst_ends : its word is the last one of its burst
    last_pixel : its pixel is the transfer's last one
    last : it is the last one of the transfer
    """

    def __init__(self, bus_bytes: int):
        self.bus_bytes = bus_bytes
        word_bits = exact_log2(bus_bytes)
        super().__init__(
            {
                "first": In(fields_layout(Opcode.LOAD)),
                "first_lanes": In(LANE_BITS),
                "begins": In(1),
                "starts": In(1),
                "fields": In(fields_layout(Opcode.LOAD)),
                "lanes": In(LANE_BITS),
                "step": In(1),
                "row": Out(ADDRESS_BITS),
                "lane": Out(LANE_BITS),
                "word_left": Out(word_bits + 1),
                "size": Out(word_bits + 1),
                "rotation": Out(word_bits),
                "word_ends": Out(1),
                "row_ends": Out(1),
                "burst_ends": Out(1),
                "last_pixel": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first, first_lanes, lanes = self.first, self.first_lanes, self.lanes
        word_bits, beat_bits = exact_log2(self.bus_bytes), exact_log2(burst_beats(self.bus_bytes))
        m.submodules.pixels = pixels = PixelWalk(word_bits + beat_bits)
        row_left = Signal(LANE_BITS)
        rest = Signal(len(first.pixel_bytes))  # bytes of the pixel after this row
        # Comparisons of what the registers hold, in registers too: word_left ≤ row_left, row_left ≤ word_left,
        # rest ≤ lanes; and whether this row is the pixel's last.
        word_short, row_short, rest_short, last_row = Signal(), Signal(), Signal(), Signal()
        first_left, first_rest = Signal.like(row_left), Signal.like(rest)
        first_short, first_last = Signal(), Signal()
        word = Signal(beat_bits)
        pixel_ends, turns = Signal(), Signal()
        m.d.comb += [
            self.size.eq(Mux(word_short, self.word_left, row_left)),
            self.rotation.eq(self.lane + self.word_left),
            self.row_ends.eq(row_short),
            pixel_ends.eq(row_short & last_row),
            turns.eq(self.starts | pixel_ends),  # the next overlap is another pixel's
            # Where the word is the longer one, the row ends; so the word ends too if the row is the pixel's last.
            self.word_ends.eq(word_short | last_row),
            self.burst_ends.eq(self.word_ends & (pixel_ends | word.all())),
            self.last_pixel.eq(pixels.last),
            self.last.eq(pixel_ends & pixels.last),
            pixels.first.eq(first),
            pixels.fields.eq(self.fields),
            pixels.begins.eq(self.begins),
            pixels.next.eq(self.step & turns),
        ]
        # What a transfer begins with, in registers: the instruction lies there before it.
        short, both_short = first_lanes >= first.pixel_bytes, first_lanes << 1 >= first.pixel_bytes
        begin_word, begin_row = Signal.like(self.word_left), Signal.like(row_left)
        begin_rest, begin_rest_short, begin_last = Signal.like(rest), Signal(), Signal()
        begin_word_short, begin_row_short = Signal(), Signal()
        # A pixel's first row again, as far as words reach: at most bus_bytes of it, and whether that is all of it.
        begin_reach, begin_fits = Signal.like(self.word_left), Signal()
        reach, fits = Signal.like(self.word_left), Signal()
        # The first row is the least of the pixel and the lanes: it is compared by comparing both, at the same time.
        whole, lengths = Signal.like(self.word_left), (first.pixel_bytes, first_lanes)
        pixel_fits, lanes_fit = (length < self.bus_bytes + 1 for length in lengths)
        m.d.comb += whole.eq(self.bus_bytes - first.memory_address[:word_bits])
        m.d.sync += [
            begin_word.eq(whole),
            begin_row.eq(Mux(short, first.pixel_bytes, first_lanes)),
            begin_word_short.eq((first.pixel_bytes >= whole) & (first_lanes >= whole)),
            begin_row_short.eq((whole >= first.pixel_bytes) | (whole >= first_lanes)),
            begin_reach.eq(Mux(pixel_fits | lanes_fit, Mux(short, first.pixel_bytes, first_lanes), self.bus_bytes)),
            begin_fits.eq(pixel_fits | lanes_fit),
            begin_rest.eq(first.pixel_bytes - first_lanes),
            begin_rest_short.eq(both_short),
            begin_last.eq(short),
        ]
        # What may follow, each by itself, and only then which of it does: another overlap of this pixel, the next pixel
        # of the line, the first one of the next line, a transfer's first one.
        word_inside, row_inside, beyond = Signal.like(self.word_left), Signal.like(row_left), Signal.like(row_left)
        more_word, more_row = Signal.like(self.word_left), Signal.like(row_left)
        word_pixel, word_line = Signal.like(self.word_left), Signal.like(self.word_left)
        m.d.comb += [
            beyond.eq(Mux(rest_short, rest, lanes)),
            more_word.eq(self.word_left - row_left),
            more_row.eq(row_left - self.word_left),
            word_inside.eq(Mux(word_short, self.bus_bytes, more_word)),
            row_inside.eq(Mux(row_short, beyond, more_row)),
            word_pixel.eq(self.bus_bytes - (pixels.address + self.fields.pixel_stride)[:word_bits]),
            word_line.eq(self.bus_bytes - (pixels.line_address + self.fields.line_stride)[:word_bits]),
        ]

        # Which of the next two is the shorter one: the bytes of the row less those of the word, and the reverse, where
        # not both end now. Both are small, or the row is by `far` the longer one.
        low = len(self.word_left) + 1
        row, word_bytes, more = (Signal(low + 2, name=name) for name in ("row_low", "word_bytes", "more"))
        far, both = Signal(), Signal()
        m.d.comb += [
            row.eq(row_left[:low]),
            word_bytes.eq(self.word_left),
            more.eq(Mux(word_short, -self.bus_bytes, beyond[:low])),
            far.eq(Mux(word_short, row_left[low:], beyond[low:]).any()),
            both.eq(word_short & row_short),
        ]
        word_short_inside = Mux(both, beyond >= self.bus_bytes, far | reaches_zero(row, ~word_bytes, more, 1))
        row_short_inside = Mux(both, beyond < self.bus_bytes + 1, ~far & reaches_zero(~row, word_bytes, ~more, 2))

        def following(inside, of_pixel, of_transfer):
            """Of this pixel, of the next one, or of a transfer's first one."""
            return Mux(turns, Mux(self.begins, of_transfer, of_pixel), inside)

        def of_word(value):
            """Of the first word of the next pixel."""
            return Mux(pixels.line_ends, value(word_line), value(word_pixel))

        # What only later pixels take: the pixel shown until a transfer begins is the last one of the transfer before.
        with m.If(self.begins):
            m.d.sync += [
                first_left.eq(begin_row),
                reach.eq(begin_reach),
                fits.eq(begin_fits),
                first_rest.eq(begin_rest),
                first_short.eq(begin_rest_short),
                first_last.eq(begin_last),
            ]
        short_rest = Mux(row_short, lanes << 1 >= rest, rest_short)
        with m.If(self.step):
            m.d.sync += [
                self.word_left.eq(following(word_inside, of_word(lambda word: word), begin_word)),
                row_left.eq(following(row_inside, first_left, begin_row)),
                word_short.eq(following(word_short_inside, of_word(lambda word: reach >= word), begin_word_short)),
                row_short.eq(
                    following(row_short_inside, of_word(lambda word: fits & (word >= reach)), begin_row_short)
                ),
                self.row.eq(following(self.row + row_short, pixels.next_row, first.row)),
                self.lane.eq(Mux(turns | row_short, 0, self.lane + self.word_left)),
                word.eq(
                    following(word + word_short, pixels.next_address[word_bits:], first.memory_address[word_bits:])
                ),
                rest.eq(following(rest - Mux(row_short, lanes, 0), first_rest, begin_rest)),
                rest_short.eq(following(short_rest, first_short, begin_rest_short)),
                last_row.eq(following(Mux(row_short, rest_short, last_row), first_last, begin_last)),
            ]
        return m
