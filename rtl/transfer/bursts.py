"""The memory side of a transfer: walks the pixels, checks each one and cuts it into bursts."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.bus import BOUNDARY_BYTES, burst_beats
from emulator.instructions import ADDRESS_BITS, Opcode

from ..fields import fields_layout

LANE_BITS = 7
"""Bits of a number of lanes, at most 64."""
DEPTH_BITS = 17
PAGE_BITS = exact_log2(BOUNDARY_BYTES)


class PixelWalk(wiring.Component):
    """Counts the pixels of a transfer, line by line, with their memory addresses and scratchpad rows.

    Members
    -------
    first, fields : a transfer's instruction, where `begins`, and constant after it
    begins : the next pixel is the first one
    next : go to the next pixel
    address : of the pixel's first byte, modulo 2^address_bits
    row : of the pixel's first bytes, modulo 2^ADDRESS_BITS
    next_address, next_row : of the pixel after this one
    line_address, line_ends : of the line's first byte; this is the line's last pixel
    last : this is the last pixel of the last line
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "first": In(fields_layout(Opcode.LOAD)),
                "fields": In(fields_layout(Opcode.LOAD)),
                "begins": In(1),
                "next": In(1),
                "address": Out(address_bits),
                "row": Out(ADDRESS_BITS),
                "next_address": Out(address_bits),
                "next_row": Out(ADDRESS_BITS),
                "line_address": Out(address_bits),
                "line_ends": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first, fields, line_address, line_ends = self.first, self.fields, self.line_address, self.line_ends
        # Pixels, and lines, that follow − 1: the sign says early in the cycle that it is the last one.
        pixels_left, lines_left = Signal(signed(17)), Signal(signed(17))
        following = Mux(line_ends, line_address, self.address) + Mux(line_ends, fields.line_stride, fields.pixel_stride)
        next_pixels_left, next_lines_left = Signal.like(pixels_left), Signal.like(lines_left)
        m.d.comb += [
            line_ends.eq(pixels_left[-1]),
            next_pixels_left.eq(
                Mux(
                    self.begins,
                    first.pixels - 2,
                    Mux(line_ends, fields.pixels, pixels_left) - Mux(line_ends, 2, 1),
                )
            ),
            next_lines_left.eq(Mux(self.begins, first.lines - 2, lines_left - line_ends)),
            self.next_address.eq(following),
            self.next_row.eq(self.row + fields.pixel_rows),
        ]
        with m.If(self.next):
            m.d.sync += [
                self.address.eq(Mux(self.begins, first.memory_address, self.next_address)),
                self.row.eq(Mux(self.begins, first.row, self.next_row)),
                pixels_left.eq(next_pixels_left),
                lines_left.eq(next_lines_left),  # one enable for all
                self.last.eq(next_pixels_left[-1] & next_lines_left[-1]),  # much begins by it: a register
            ]
            with m.If(self.begins | line_ends):
                m.d.sync += line_address.eq(Mux(self.begins, first.memory_address, self.next_address))
        return m


class BurstWalk(wiring.Component):
    """The bursts of a transfer, one after the other, at most one in two cycles; the first 5 cycles after `start`.

    A pixel is checked as a whole before its first burst: its bytes must lie in the memory region, all its rows in the
    scratchpad. Sums, product and comparisons take a pipeline stage each.

    Members
    -------
    fields, start : the instruction, constant from `start` on; begin
    lanes, depth : bytes of a row and rows of the scratchpad, constant from `start` on
    memory_bytes, base : size of the memory region; added to the addresses of the bursts, a multiple of 4096
    enable : a burst may be asked for
    stop : forget all that has not been asked for
    valid, address, length : a burst waits: its first word's address, its beats − 1
    accept : the burst is taken in this cycle
    asks : a burst will be `valid` from the next cycle on
    fault : the next pixel is illegal; the walk ends here
    busy : the walk is not over
    """

    def __init__(self, bus_bytes: int):
        self.bus_bytes = bus_bytes
        super().__init__(
            {
                "fields": In(fields_layout(Opcode.LOAD)),
                "start": In(1),
                "lanes": In(LANE_BITS),
                "depth": In(DEPTH_BITS),
                "memory_bytes": In(32),
                "base": In(32),
                "enable": In(1),
                "stop": In(1),
                "valid": Out(1),
                "address": Out(32),
                "length": Out(8),
                "accept": In(1),
                "asks": Out(1),
                "fault": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word_bits, beat_bits = exact_log2(self.bus_bytes), exact_log2(burst_beats(self.bus_bytes))
        size_bits = len(self.fields.pixel_bytes)
        m.submodules.pixels = pixels = PixelWalk(32)
        span = Signal(size_bits)  # bytes of a pixel − 1
        m.d.comb += [pixels.first.eq(self.fields), pixels.fields.eq(self.fields), pixels.begins.eq(self.start)]

        move, walking = Signal(), Signal()
        more = Signal()  # the pixel has further bursts
        rest = Signal(size_bits + 1 - word_bits)  # words that follow the burst asked for, − 1
        idle = Signal(init=1)  # ~valid & ~more, in a register: much moves by it
        m.d.sync += idle.eq(~self.asks & (~self.valid | self.accept) & (~more | self.stop))
        m.d.comb += [move.eq(idle & self.enable), pixels.next.eq(self.start | (move & walking))]
        with m.If(self.start):
            m.d.sync += [walking.eq(1), span.eq(self.fields.pixel_bytes - 1)]
        with m.Elif(move & pixels.last):
            m.d.sync += walking.eq(0)

        # Sums.
        page = pixels.address[PAGE_BITS:]
        summed = Signal()
        end = Signal(33)  # the pixel's last byte
        room = Signal(signed(ADDRESS_BITS + 1))  # rows from the pixel's first to the scratchpad's end
        word = Signal(32 - word_bits)
        words = Signal.like(rest)  # words of the pixel − 1
        with m.If(move):
            m.d.sync += summed.eq(walking)
            with m.If(walking):
                m.d.sync += [
                    end.eq(pixels.address + span),
                    room.eq(self.depth - pixels.row),
                    word.eq(Cat(pixels.address[word_bits:PAGE_BITS], page + self.base[PAGE_BITS:])),
                    words.eq((pixels.address[:word_bits] + span) >> word_bits),
                ]

        # Product; comparison with the region.
        multiplied, outside = Signal(), Signal()
        capacity = Signal(DEPTH_BITS + LANE_BITS)  # bytes that the rows can take
        later_word, later_words = Signal.like(word), Signal.like(words)
        with m.If(move):
            m.d.sync += multiplied.eq(summed)
            with m.If(summed):
                m.d.sync += [
                    outside.eq((end >= self.memory_bytes) | (room < 0)),
                    capacity.eq(room[:DEPTH_BITS] * self.lanes),
                    later_word.eq(word),
                    later_words.eq(words),
                ]

        # Comparisons with the rows and with the boundary.
        checked, illegal, crosses = Signal(), Signal(), Signal()
        first_word, first_words, beyond = Signal.like(word), Signal.like(words), Signal.like(words)
        to_boundary = ~later_word[:beat_bits]  # words from this one to the boundary − 1
        with m.If(move):
            m.d.sync += checked.eq(multiplied)
            with m.If(multiplied):
                m.d.sync += [
                    illegal.eq(outside | (span >= capacity)),
                    crosses.eq(to_boundary < later_words),
                    beyond.eq(later_words - to_boundary - 1),
                    first_word.eq(later_word),
                    first_words.eq(later_words),
                ]

        # Bursts. What one is may change at a stop, which comes late in the cycle: it is not valid then.
        takes, found = Signal(), Signal()
        m.d.comb += [
            found.eq(move & checked & illegal),
            self.fault.eq(found & ~self.stop),
            takes.eq(~self.valid & self.enable & (more | (checked & ~illegal))),
            self.asks.eq(takes & ~self.stop),
            self.busy.eq(walking | summed | multiplied | checked | self.valid | more),
        ]
        burst = Signal.like(word)
        m.d.comb += self.address[word_bits:].eq(burst)
        with m.If(self.asks):
            m.d.sync += self.valid.eq(1)
        with m.Elif(self.accept):
            m.d.sync += self.valid.eq(0)
        several = rest[beat_bits:].any()
        with m.If(takes):
            m.d.sync += [
                burst.eq(Mux(more, Cat(C(0, beat_bits), burst[beat_bits:] + 1), first_word)),
                self.length.eq(
                    Mux(
                        more,
                        Mux(several, burst_beats(self.bus_bytes) - 1, rest[:beat_bits]),
                        Mux(crosses, ~first_word[:beat_bits], first_words[:beat_bits]),
                    )
                ),
                rest.eq(Mux(more, Cat(rest[:beat_bits], rest[beat_bits:] - 1), beyond)),
                more.eq(Mux(more, several, crosses)),
            ]
        with m.If(self.stop | found):
            m.d.sync += [walking.eq(0), summed.eq(0), multiplied.eq(0), checked.eq(0), more.eq(0)]
        return m
