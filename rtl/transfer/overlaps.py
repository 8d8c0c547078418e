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


class OverlapWalk(wiring.Component):
    """An overlap is as many bytes as both the current word and the current row still have; its place in both is shown.

    Members
    -------
    first, first_lanes : a transfer's instruction, and bytes of a row, from two cycles before its first overlap shows
    fields, lanes : the same, constant from then on
    begins : the next overlap is a transfer's first one; known early in the cycle
    step : go to the next overlap
    row, lane : scratchpad row, and the overlap's first byte in it
    word_left : bytes of the word from the overlap's first on, 1 to bus_bytes
    size : bytes of the overlap
    rotation : bytes from the overlap's place in the word up to its place in the row, modulo bus_bytes
    word_ends, row_ends : the overlap is the last one of its word, of its row
    burst_ends : its word is the last one of its burst
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
        pixel_ends = Signal()
        m.d.comb += [
            self.size.eq(Mux(word_short, self.word_left, row_left)),
            self.rotation.eq(self.lane + self.word_left),
            self.row_ends.eq(row_short),
            pixel_ends.eq(row_short & last_row),
            # Where the word is the longer one, the row ends; so the word ends too if the row is the pixel's last.
            self.word_ends.eq(word_short | last_row),
            self.burst_ends.eq(self.word_ends & (pixel_ends | word.all())),
            self.last.eq(pixel_ends & pixels.last),
            pixels.first.eq(first),
            pixels.fields.eq(self.fields),
            pixels.begins.eq(self.begins),
            pixels.next.eq(self.step & (self.begins | pixel_ends)),
        ]
        # What a transfer begins with, in registers: the instruction lies there before it.
        short, both_short = first.pixel_bytes <= first_lanes, first.pixel_bytes <= first_lanes << 1
        begin_word, begin_row = Signal.like(self.word_left), Signal.like(row_left)
        begin_rest, begin_rest_short, begin_last = Signal.like(rest), Signal(), Signal()
        begin_word_short, begin_row_short = Signal(), Signal()
        # A pixel's first row again, as far as words reach: at most bus_bytes of it, and whether that is all of it.
        begin_reach, begin_fits = Signal.like(self.word_left), Signal()
        reach, fits = Signal.like(self.word_left), Signal()
        whole, least = Signal.like(self.word_left), Signal.like(row_left)
        m.d.comb += [
            whole.eq(self.bus_bytes - first.memory_address[:word_bits]),
            least.eq(Mux(short, first.pixel_bytes, first_lanes)),
        ]
        m.d.sync += [
            begin_word.eq(whole),
            begin_row.eq(least),
            begin_word_short.eq(whole <= least),
            begin_row_short.eq(least <= whole),
            begin_reach.eq(Mux(least <= self.bus_bytes, least, self.bus_bytes)),
            begin_fits.eq(least <= self.bus_bytes),
            begin_rest.eq(first.pixel_bytes - first_lanes),
            begin_rest_short.eq(both_short),
            begin_last.eq(short),
        ]
        # What may follow, each by itself, and only then which of it does: another overlap of this pixel, the next pixel
        # of the line, the first one of the next line.
        word_inside, row_inside = Signal.like(self.word_left), Signal.like(row_left)
        word_pixel, word_line = Signal.like(self.word_left), Signal.like(self.word_left)
        m.d.comb += [
            word_inside.eq(Mux(word_short, self.bus_bytes, self.word_left - row_left)),
            row_inside.eq(Mux(row_short, Mux(rest_short, rest, lanes), row_left - self.word_left)),
            word_pixel.eq(self.bus_bytes - (pixels.address + self.fields.pixel_stride)[:word_bits]),
            word_line.eq(self.bus_bytes - (pixels.line_address + self.fields.line_stride)[:word_bits]),
        ]

        def following(inside, of_word):
            """Of this pixel, or of the first word of the next one."""
            return Mux(pixel_ends, Mux(pixels.line_ends, of_word(word_line), of_word(word_pixel)), inside)

        with m.If(self.step):
            with m.If(self.begins):
                m.d.sync += [
                    self.word_left.eq(begin_word),
                    row_left.eq(begin_row),
                    word_short.eq(begin_word_short),
                    row_short.eq(begin_row_short),
                    first_left.eq(begin_row),
                    reach.eq(begin_reach),
                    fits.eq(begin_fits),
                    self.row.eq(first.row),
                    self.lane.eq(0),
                    word.eq(first.memory_address[word_bits:]),
                ]
                beyond = (begin_rest, begin_rest_short, begin_last)
                for registers in ((rest, rest_short, last_row), (first_rest, first_short, first_last)):
                    m.d.sync += [register.eq(value) for register, value in zip(registers, beyond, strict=True)]
            with m.Else():
                m.d.sync += [
                    self.word_left.eq(following(word_inside, lambda word: word)),
                    row_left.eq(Mux(pixel_ends, first_left, row_inside)),
                    word_short.eq(following(word_inside <= row_inside, lambda word: word <= reach)),
                    row_short.eq(following(row_inside <= word_inside, lambda word: fits & (reach <= word))),
                    self.row.eq(Mux(pixel_ends, pixels.next_row, self.row + row_short)),
                    self.lane.eq(Mux(pixel_ends | row_short, 0, self.lane + self.word_left)),
                    word.eq(Mux(pixel_ends, pixels.next_address[word_bits:], word + word_short)),
                    rest.eq(Mux(pixel_ends, first_rest, rest - Mux(row_short, lanes, 0))),
                    rest_short.eq(Mux(pixel_ends, first_short, Mux(row_short, rest <= lanes << 1, rest_short))),
                    last_row.eq(Mux(pixel_ends, first_last, Mux(row_short, rest_short, last_row))),
                ]
        return m
