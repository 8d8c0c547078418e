"""Transfer unit: executes LOAD and STORE between external memory and the scratchpads."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.config import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BITS, Opcode, Target

from .fields import fields_layout
from .memory_port import MemoryPort

ROW_BITS = 17


class TransferWalk(wiring.Component):
    """Walks the memory words of a transfer: line by line, pixel by pixel, scratchpad row by row, word by word.

    Members
    -------
    instruction, start : begin at the first word
    lanes : bytes of a scratchpad row
    advance : go to the next word
    active : 1 until the walk is over
    address, size : first byte of the current row in memory, its bytes
    row : scratchpad row
    word : index of the current word among those that hold the row's bytes
    """

    def __init__(self, bus_bytes: int):
        self.bus_bytes = bus_bytes
        super().__init__(
            {
                "instruction": In(fields_layout(Opcode.LOAD)),
                "start": In(1),
                "stop": In(1),
                "lanes": In(7),
                "advance": In(1),
                "active": Out(1),
                "address": Out(32),
                "size": Out(7),
                "row": Out(ROW_BITS),
                "word": Out(5),
            }
        )

    @property
    def offset(self) -> Value:
        """Byte of the first word at which the row begins."""
        return self.address[: exact_log2(self.bus_bytes)]

    @property
    def word_address(self) -> Value:
        """Address of the current word."""
        return (self.address >> exact_log2(self.bus_bytes)) + self.word

    def elaborate(self, platform):
        m = Module()
        walk = self.instruction
        line, pixel, rest = Signal(16), Signal(16), Signal(16)
        line_start, pixel_start = Signal(32), Signal(32)
        next_line, next_pixel = Signal(32), Signal(32)
        row_ends = Signal()
        m.d.comb += [
            self.size.eq(Mux(rest > self.lanes, self.lanes, rest)),
            row_ends.eq((self.word + 1) * self.bus_bytes >= self.offset + self.size),
            next_line.eq(line_start + walk.line_stride),
            next_pixel.eq(pixel_start + walk.pixel_stride),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.active.eq(1),
                line.eq(0),
                pixel.eq(0),
                rest.eq(walk.pixel_bytes),
                line_start.eq(walk.memory_address),
                pixel_start.eq(walk.memory_address),
                self.address.eq(walk.memory_address),
                self.row.eq(walk.row),
                self.word.eq(0),
            ]
        with m.Elif(self.stop):
            m.d.sync += self.active.eq(0)
        with m.Elif(self.advance & ~row_ends):
            m.d.sync += self.word.eq(self.word + 1)
        with m.Elif(self.advance):
            m.d.sync += [self.word.eq(0), self.row.eq(self.row + 1)]
            with m.If(rest > self.lanes):
                m.d.sync += [rest.eq(rest - self.lanes), self.address.eq(self.address + self.lanes)]
            with m.Else():
                m.d.sync += rest.eq(walk.pixel_bytes)
                with m.If(pixel != walk.pixels - 1):
                    m.d.sync += [pixel.eq(pixel + 1), pixel_start.eq(next_pixel), self.address.eq(next_pixel)]
                with m.Elif(line != walk.lines - 1):
                    m.d.sync += [
                        line.eq(line + 1),
                        pixel.eq(0),
                        line_start.eq(next_line),
                        pixel_start.eq(next_line),
                        self.address.eq(next_line),
                    ]
                with m.Else():
                    m.d.sync += self.active.eq(0)
        return m


class TransferUnit(wiring.Component):
    """Moves one memory word per cycle; a row that is not aligned to the words takes one word more.

    Members
    -------
    instruction : LOAD's or STORE's fields, constant from `start` on
    start, done, fault : begin; the last cycle; with `done`: stopped at an address outside a memory
    memory_bytes : size of the program's memory region
    port : external memory
    activation_write, weight_write, code_write : one enable per lane
    write_address, write_data : row and one byte per lane
    storing : a STORE has the output scratchpad
    code_address, code : output scratchpad row to store; its bytes one cycle later
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        lanes = max(config.rows, config.columns)
        super().__init__(
            {
                "instruction": In(INSTRUCTION_BITS),
                "start": In(1),
                "done": Out(1),
                "fault": Out(1),
                "memory_bytes": In(32),
                "port": Out(MemoryPort(config.bus_bytes)),
                "activation_write": Out(config.rows),
                "weight_write": Out(config.columns),
                "code_write": Out(config.columns),
                "write_address": Out(16),
                "write_data": Out(data.ArrayLayout(8, lanes)),
                "storing": Out(1),
                "code_address": Out(16),
                "code": In(data.ArrayLayout(8, config.columns)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, port, width = self.config, self.port, self.config.bus_bytes
        fields = data.View(fields_layout(Opcode.LOAD), self.instruction)
        load = self.instruction[:8] == Opcode.LOAD
        lanes = Mux(load & (fields.target == Target.ACTIVATION), config.rows, config.columns)
        m.submodules.request = request = TransferWalk(width)
        m.submodules.response = response = TransferWalk(width)
        for walk in (request, response):
            m.d.comb += [walk.instruction.eq(fields), walk.lanes.eq(lanes), walk.start.eq(self.start)]

        depth = Mux(
            ~load,
            config.output_depth,
            Array([config.activation_depth, config.weight_depth, config.output_depth, 0])[fields.target],
        )
        outside = (request.address + request.size > self.memory_bytes) | (request.row >= depth)
        attempt = Signal()
        m.d.comb += [attempt.eq(request.active & ~outside), request.stop.eq(request.active & outside)]
        with m.If(self.start):
            m.d.sync += self.fault.eq(0)
        with m.Elif(request.stop):
            m.d.sync += self.fault.eq(1)

        # LOAD: the response walk repeats the request walk, a latency later.
        waiting = Signal(16)
        asked, answered = port.read.valid & port.read.ready, port.read_data.valid & port.read_data.ready
        m.d.comb += [
            port.read.valid.eq(attempt & load),
            port.read.payload.eq(request.word_address),
            port.read_data.ready.eq(1),
            response.advance.eq(answered),
            response.stop.eq(self.done),
        ]
        m.d.sync += waiting.eq(waiting + asked - answered)
        self._write_lanes(m, load & answered, fields.target, response)

        # STORE: a row is read in one cycle and written, word by word, in the next ones.
        writing, go = Signal(), Signal()
        row, word, offset, size = (
            Signal.like(v, name=n)
            for v, n in (
                (request.row, "store_row"),
                (request.word, "store_word"),
                (request.offset, "store_offset"),
                (request.size, "store_size"),
            )
        )
        m.d.comb += [
            go.eq(~writing | port.write.ready),
            request.advance.eq(Mux(load, asked, attempt & go)),
            self.code_address.eq(Mux(go, request.row, row)),
        ]
        with m.If(go):
            m.d.sync += [
                writing.eq(attempt & ~load),
                row.eq(request.row),
                word.eq(request.word),
                offset.eq(request.offset),
                size.eq(request.size),
                port.write.payload.address.eq(request.word_address),
            ]
        bits = 8 * (config.columns + 2 * width)
        shifted, mask = Signal(bits), Signal(bits // 8)
        m.d.comb += [
            shifted.eq(self.code.as_value() << (offset * 8)),
            mask.eq(((C(1, config.columns + 1) << size) - 1)[: config.columns] << offset),
            port.write.valid.eq(writing),
            port.write.payload.data.eq(shifted.word_select(word, 8 * width)),
            port.write.payload.mask.eq(mask.word_select(word, width)),
        ]

        busy = Signal()
        m.d.comb += self.storing.eq(busy & ~load)
        m.d.comb += self.done.eq(busy & ~request.active & ~writing & (waiting == 0))
        with m.If(self.start):
            m.d.sync += busy.eq(1)
        with m.Elif(self.done):
            m.d.sync += busy.eq(0)
        return m

    def _write_lanes(self, m: Module, write: Value, target: Value, walk: TransferWalk) -> None:
        """Give each lane its byte of the word that has come, and lanes beyond the row's bytes a 0."""
        width = self.config.bus_bytes
        word = self.port.read_data.payload
        rotated = Signal(8 * width)
        m.d.comb += [
            rotated.eq(Cat(word, word) >> (walk.offset * 8)),
            self.write_address.eq(walk.row),
        ]
        enables = (
            (self.activation_write, Target.ACTIVATION),
            (self.weight_write, Target.WEIGHT),
            (self.code_write, Target.OUTPUT),
        )
        for lane in range(len(self.write_data)):
            inside, here = Signal(name=f"inside_{lane}"), Signal(name=f"here_{lane}")
            m.d.comb += [
                inside.eq(lane < walk.size),
                here.eq(write & Mux(inside, ((walk.offset + lane) >> exact_log2(width)) == walk.word, walk.word == 0)),
                self.write_data[lane].eq(Mux(inside, rotated.word_select(lane % width, 8), 0)),
            ]
            m.d.comb += [enable[lane].eq(here & (target == wanted)) for enable, wanted in enables if lane < len(enable)]
