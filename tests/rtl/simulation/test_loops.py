"""Loops in the place of equal instances: the same answers as plain Python integers, and the loops are there."""

import numpy as np
from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.simulation.loops import roll
from rtl.simulation.vectors import Component, Port, play_vectors
from rtl.verilog.hierarchy import Placed, write_verilog

COUNT, PERIOD = 9, 3
WORDS = [3 * address + 1 for address in range(8)]


class Product(wiring.Component):
    x: In(signed(8))
    own: In(6)
    product: Out(signed(14))

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.product.eq(self.x * self.own)
        return m


class Place(wiring.Component):
    """Something of everything: neighbours, a wide register, a memory, a submodule, choices, all kinds of resets."""

    enable: In(1)
    x: In(signed(8))
    own: In(6)
    bus: In(7)
    x_out: Out(signed(8))
    total: Out(signed(16))

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=len(WORDS), init=WORDS)
        m.submodules.product = product = Product()
        write, read = memory.write_port(), memory.read_port()
        history, kept = Signal(80), Signal(9, init=0x15A, reset_less=True)
        m.d.comb += [
            product.x.eq(self.x),
            product.own.eq(self.own),
            write.en.eq(self.enable),
            write.addr.eq(self.own[:3]),
            write.data.eq(history[64:80]),
            read.en.eq(1),
            read.addr.eq(self.bus[:3]),
        ]
        m.d.sync += [self.x_out.eq(self.x), history.eq(Cat(self.x, history))]
        with m.If(self.enable & ~self.bus[6]):
            m.d.sync += kept.eq(kept + self.bus)
        with m.Switch(self.x[:2]):
            with m.Case(0):
                m.d.sync += self.total.eq(read.data.as_signed())
            with m.Case(1):
                m.d.sync += self.total.eq(product.product - kept)
            with m.Case(2):
                m.d.sync += [self.total[:8].eq(history[30:38]), self.total[8:].eq(~self.own)]
        return m


class Row(wiring.Component):
    def __init__(self):
        self.kind = Place()
        super().__init__(
            {
                "enable": In(1),
                "x": In(signed(8)),
                "own": In(6).array(COUNT),
                "bus": In(7).array(PERIOD),
                "total": Out(signed(16)).array(COUNT),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x = self.x
        for k in range(COUNT):
            place = Placed(self.kind, "place", f"_{k}")
            m.submodules[f"place_{k}"] = place.instance
            m.d.comb += [
                place.enable.eq(self.enable),
                place.x.eq(x),
                place.own.eq(self.own[k]),
                place.bus.eq(self.bus[k % PERIOD]),
                self.total[k].eq(place.total),
            ]
            x = place.x_out
        return m


class Model:
    """`Place` in plain integers."""

    def __init__(self) -> None:
        self.memory, self.history, self.kept, self.x, self.total, self.read, self.product = (
            WORDS[:],
            0,
            0x15A,
            0,
            0,
            0,
            0,
        )

    def step(self, reset: bool, enable: int, x: int, own: int, bus: int) -> None:
        total = self.total
        if x % 4 == 0:
            total = self.read
        elif x % 4 == 1:
            total = self.product - self.kept
        elif x % 4 == 2:
            total = (self.history >> 30) % 256 + (~own % 64 << 8)
        read = self.memory[bus % 8]
        if enable:
            self.memory[own % 8] = self.history >> 64
        if enable and not bus >> 6:
            self.kept = (self.kept + bus) % 512
        self.history, self.x, self.product = ((self.history << 8) + x % 256) % (1 << 80), x, x * own
        self.read, self.total = read, (total + (1 << 15)) % (1 << 16) - (1 << 15)
        if reset:
            self.history = self.x = self.product = self.total = 0


def test_a_row_of_instances() -> None:
    row, rng = Row(), np.random.default_rng(5)
    verilog = write_verilog({"place": row.kind, "accelerator": row})
    rolled = roll(verilog)
    assert "place place_" in verilog
    assert "place place_" not in rolled
    assert "unroll_disable" in rolled
    ports = {"enable": 1, "x": 8}
    ports |= {f"own__{k}": 6 for k in range(COUNT)} | {f"bus__{k}": 7 for k in range(PERIOD)}
    inputs = tuple(Port(name, width, name == "x") for name, width in ports.items())
    outputs = tuple(Port(f"total__{k}", 16, True) for k in range(COUNT))
    cycles = 600
    stimuli = {
        port.name: rng.integers(-(1 << 7) if port.signed else 0, 1 << (port.width - port.signed), cycles)
        for port in inputs
    }
    (found,) = play_vectors([Component("accelerator", rolled, inputs, outputs)], [stimuli])
    models = [Model() for _ in range(COUNT)]
    for reset in (True, True, False):  # the player's first vector comes a cycle after the reset
        for model in models:
            model.step(reset, 0, 0, 0, 0)
    for cycle in range(cycles):
        given = {name: int(values[cycle]) for name, values in stimuli.items()}
        assert [found[f"total__{k}"][cycle] for k in range(COUNT)] == [model.total for model in models], cycle
        across = [given["x"], *(model.x for model in models)]
        for k, model in enumerate(models):
            model.step(False, given["enable"], across[k], given[f"own__{k}"], given[f"bus__{k % PERIOD}"])


def test_what_is_not_understood_stays_as_it_is() -> None:
    instances = "".join(f"  part part_{k} (\n    .clk(clk)\n  );\n" for k in range(COUNT))
    part = "module part(clk);\n  input clk;\n  wire clk;\n  always @(negedge clk) begin\n  end\nendmodule\n"
    text = f"{part}module row(clk);\n  input clk;\n  wire clk;\n{instances}endmodule\n"
    assert roll(text) == text


def test_memories_of_equal_words() -> None:
    words = "".join(f"    memory[{address}] = 8'h07;\n" for address in range(5))
    text = f"module m();\n  reg [7:0] memory [4:0];\n  initial begin\n{words}  end\nendmodule\n"
    assert "for (int word = 0; word < 5; word = word + 1) memory[word] = 8'h07;" in roll(text)
    other = text.replace("[3] = 8'h07", "[3] = 8'h06")
    assert roll(other) == other
