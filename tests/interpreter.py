"""An untimed interpreter in plain NumPy: instructions one after the other on a memory image, or in any order of the
units that queues and tokens allow. It shares no code with compiler, machine or RTL, and is the oracle of all three.

Addresses outside a memory are an ``AssertionError``: compiled programs have none.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from emulator import AcceleratorConfig
from emulator.instructions import (
    COUNTER_ROWS,
    INSTRUCTION_BYTES,
    PARAMETER_ENTRIES,
    PARAMETER_PITCH,
    PARAMETER_ROWS,
    QUEUE_DEPTH,
    UNIT_OF,
    Error,
    Instruction,
    Mode,
    Opcode,
    Target,
    Unit,
    decode,
)
from emulator.operators.requantization.requantize import requantize_unchecked
from emulator.operators.requantization.rounding import round_shift
from tests.oracle import depthwise_place


def overflow(exact: np.ndarray, bits: int, mode: str) -> np.ndarray:
    """Sums of one step brought back into `bits` bits."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if mode == "saturate":
        return np.clip(exact, low, high)
    return ((exact - low) & ((1 << bits) - 1)) + low


def sign_extend(value: np.ndarray, bits: int) -> np.ndarray:
    """The low `bits` bits as a signed number."""
    half = 1 << (bits - 1)
    return ((value & (2 * half - 1)) ^ half) - half


class Interpreter:
    """The accelerator's memories and what each instruction does to them."""

    def __init__(self, config: AcceleratorConfig, image: bytes):
        self.config, self.arithmetic = config, config.arithmetic
        self.memory = np.frombuffer(image, np.int8).copy()
        rows, columns = config.rows, config.columns
        rng = np.random.default_rng(len(image))  # nothing may depend on what the memories held before

        def noise(*shape: int) -> np.ndarray:
            return rng.integers(-128, 128, shape, dtype=np.int8)

        self.scratchpads = {
            Target.ACTIVATION: noise(config.activation_depth, rows),
            Target.WEIGHT: noise(config.weight_depth, columns),
            Target.OPERAND: noise(config.operand_depth, columns),
            Target.PARAMETER: noise(PARAMETER_ENTRIES * PARAMETER_PITCH, columns),
            Target.TABLE: noise(1 << self.arithmetic.activation_bits, columns),
        }
        if config.depthwise_taps:
            self.scratchpads[Target.DEPTHWISE] = noise(64 * {1: 1, 3: 4, 9: 16}[config.depthwise_taps], columns)
        self.waiting = noise(64, columns).astype(np.int64)
        self.waiting_overflowed = np.zeros((64, columns), np.int64)
        self.output = noise(config.output_depth, columns)
        self.sums = noise(config.accumulator_depth, columns).astype(np.int64)
        self.overflowed = np.zeros((config.accumulator_depth, columns), np.int64)
        self.counters = np.zeros((3, columns), np.int64)
        self.adder: Instruction | None = None

    def parameters(self, entry: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(bias, multiplier, shift) of an entry, one of each per lane."""
        rows = self.scratchpads[Target.PARAMETER][PARAMETER_PITCH * entry :][:PARAMETER_ROWS]
        low_first = rows.view(np.uint8).astype(np.int64)
        weights = 1 << (8 * np.arange(4))
        bias = sign_extend(weights @ low_first[:4], self.arithmetic.bias_bits)
        return bias, weights @ low_first[4:8] & ((1 << self.arithmetic.multiplier_bits) - 1), low_first[8] & 63

    def weight_zero_points(self, entry: int) -> np.ndarray:
        """The zero point of each lane's weights."""
        if not self.config.weight_zero_points:
            return np.zeros(self.config.columns, np.int64)
        row = self.scratchpads[Target.PARAMETER][PARAMETER_PITCH * entry + PARAMETER_ROWS]
        return sign_extend(row.astype(np.int64), self.arithmetic.weight_bits)

    def transfer(self, i: Instruction, lanes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows, addresses (rows, lanes), mask) of a LOAD or STORE, in its order."""
        chunks = -(-i["pixel_bytes"] // lanes)
        line, pixel, chunk = np.meshgrid(
            np.arange(i["lines"]), np.arange(i["pixels"]), np.arange(chunks), indexing="ij"
        )
        rows = i["row"] + (line * i["pixels"] + pixel) * i["pixel_rows"] + chunk
        address = (i["memory_address"] + line * i["line_stride"] + pixel * i["pixel_stride"]) % (1 << 32)
        byte = chunk[..., None] * lanes + np.arange(lanes)
        inside = (byte < i["pixel_bytes"]).reshape(-1, lanes)
        addresses = (address[..., None] + byte).reshape(-1, lanes)
        assert (addresses[inside] < len(self.memory)).all()
        return rows.reshape(-1), addresses, inside

    def load(self, i: Instruction) -> None:
        target = Target(i["target"])
        pad = self.scratchpads[target]
        rows, addresses, inside = self.transfer(i, pad.shape[1])
        assert rows.max() < len(pad)
        values = np.where(inside, self.memory[np.where(inside, addresses, 0)], 0)
        last = {int(row): index for index, row in enumerate(rows)}  # where rows repeat the last one stays
        kept = np.fromiter(last.values(), np.int64)
        pad[rows[kept]] = values[kept]

    def store(self, i: Instruction) -> None:
        rows, addresses, inside = self.transfer(i, self.config.columns)
        assert rows.max() < len(self.output)
        flat, first = np.unique(addresses[inside][::-1], return_index=True)  # of equal addresses the last one stays
        self.memory[flat] = self.output[rows][inside][::-1][first]

    def window(self, i: Instruction) -> tuple[np.ndarray, np.ndarray]:
        """(row of the pixel, inside the input) for (output positions, kernel positions)."""
        axes = []
        for size in ("height", "width"):
            out = np.arange(i["output_" + size])[:, None] * i["stride_" + size]
            at = out + np.arange(i["kernel_" + size]) * i["dilation_" + size]
            at -= i["pad_top" if size == "height" else "pad_left"]
            axes.append((at, (at >= 0) & (at < i["input_" + size])))
        (y, y_inside), (x, x_inside) = axes
        row = y[:, None, :, None] * i["input_width"] + x[None, :, None, :]
        inside = y_inside[:, None, :, None] & x_inside[None, :, None, :]
        count = i["output_height"] * i["output_width"]
        return (row * i["pixel_rows"]).reshape(count, -1) + i["input_row"], inside.reshape(count, -1)

    def convolve(self, i: Instruction) -> None:
        """Column block after column block; their weight tiles take turns."""
        for block in range(i["further_blocks"] + 1):
            self.convolve_block(i, block)

    def convolve_block(self, i: Instruction, block: int) -> None:
        row, inside = self.window(i)
        rows, bits, channel_rows = self.config.rows, self.arithmetic.accumulator_bits, i["channel_rows"]
        first, entry = i["accumulator_row"] + block * len(row), (i["parameters"] + block) % PARAMETER_ENTRIES
        span = slice(first, first + len(row))
        assert span.stop <= len(self.sums)
        if i["carry"]:
            acc, left = self.sums[span], self.overflowed[span]
        else:
            acc = np.broadcast_to(self.parameters(entry)[0], (len(row), self.config.columns))
            left = np.zeros(acc.shape, np.int64)
        tiles = row.shape[1] * channel_rows
        weight = self.scratchpads[Target.WEIGHT]
        blocks = i["further_blocks"] + 1
        assert i["weight_row"] + tiles * blocks * rows <= len(weight)
        weight = weight[i["weight_row"] :][: tiles * blocks * rows].reshape(tiles, blocks, rows, -1)[:, block]
        weight = weight.reshape(tiles * rows, -1).astype(np.int64) - self.weight_zero_points(entry)
        where = (row[:, :, None] + np.arange(channel_rows)).reshape(len(row), -1)
        inside = np.repeat(inside, channel_rows, axis=1)
        assert where[inside].max(initial=0) < len(self.scratchpads[Target.ACTIVATION])
        assert where[inside].min(initial=0) >= 0
        codes = self.scratchpads[Target.ACTIVATION][np.where(inside, where, 0)].astype(np.int64) - i["zero_point"]
        x = np.where(inside[:, :, None], codes, 0).reshape(len(row), -1)
        bound = np.abs(acc).max(initial=0) + np.abs(x).max(initial=0) * np.abs(weight).sum(axis=0).max(initial=0)
        if bound < 1 << min(bits - 1, 52):  # no step can overflow: any order gives the same
            acc = acc + (x.astype(np.float64) @ weight.astype(np.float64)).astype(np.int64)
        else:
            for k in range(x.shape[1]):
                exact = acc + x[:, k, None] * weight[k]
                acc = overflow(exact, bits, self.arithmetic.overflow)
                left = left | (acc != exact)
        self.sums[span], self.overflowed[span] = acc, left

    def finish(self, i: Instruction, values: np.ndarray, operand: np.ndarray | None, out: np.ndarray) -> None:
        """Requantizer, adder, table, counters; `values` (positions, columns) go to the output rows `out`."""
        _, multiplier, shift = self.parameters(i["parameters"])
        clamp = tuple(np.int64(i[name]) for name in ("zero_point", "y_min", "y_max"))
        codes, clipped = requantize_unchecked(values, multiplier, shift, *clamp, self.arithmetic)
        counted = np.arange(self.config.columns) < i["lanes"]
        if i.opcode == Opcode.REQUANTIZE and i["byte"]:
            assert self.config.raw_outputs and not i["add"] and not i["table"]
            codes = (values >> 8 * (i["byte"] - 1)).astype(np.int8)
        else:
            self.counters[1] += clipped.sum(axis=0) * counted
        if i["add"]:
            assert self.adder is not None and operand is not None
            codes, clipped = self.add(self.adder, codes, operand)
            self.counters[2] += clipped.sum(axis=0) * counted
        if i["table"]:
            index = codes.astype(np.int64) + (1 << (self.arithmetic.activation_bits - 1))
            codes = np.take_along_axis(self.scratchpads[Target.TABLE], index, axis=0)
        assert out.max() < len(self.output)
        self.output[out] = codes

    def add(self, i: Instruction, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residual adder (contract, section 4; 11 where it is rescaled)."""
        if self.arithmetic.adder == "rescaled":
            return self.rescaled_add(i, a, b)
        terms = (a.astype(np.int64) - i["a_zero_point"]) * i["a_multiplier"]
        terms += (b.astype(np.int64) - i["b_zero_point"]) * (-i["b_multiplier"] if i["subtract"] else i["b_multiplier"])
        arithmetic = self.arithmetic
        value = round_shift(terms, i["shift"], arithmetic.rounding, arithmetic.multiplier_bits) + i["zero_point"]
        low, high = arithmetic.activation_range
        codes = np.minimum(np.maximum(value, i["y_min"]), i["y_max"]).astype(np.int8)
        return codes, (value < low) | (value > high)

    def rescaled_add(self, i: Instruction, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each operand rounded, then their sum."""
        rounding = self.arithmetic.rounding, self.arithmetic.multiplier_bits
        left = ((a.astype(np.int64) - i["a_zero_point"]) << 20) * i["a_multiplier"]
        right = ((b.astype(np.int64) - i["b_zero_point"]) << 20) * i["b_multiplier"]
        left, right = round_shift(left, i["a_shift"], *rounding), round_shift(right, i["b_shift"], *rounding)
        total = left - right if i["subtract"] else left + right
        value = round_shift(total * i["multiplier"], i["shift"], *rounding) + i["zero_point"]
        low, high = self.arithmetic.activation_range
        codes = np.minimum(np.maximum(value, i["y_min"]), i["y_max"]).astype(np.int8)
        return codes, (value < low) | (value > high)

    def requantize(self, i: Instruction) -> None:
        index = np.arange(i["count"])
        span = slice(i["accumulator_row"], i["accumulator_row"] + i["count"])
        assert span.stop <= len(self.sums)
        operand = None
        if i["add"]:
            rows = i["operand_row"] + index * i["operand_stride"]
            assert rows.max() < self.config.operand_depth
            operand = self.scratchpads[Target.OPERAND][rows]
        self.counters[0] += self.overflowed[span].sum(axis=0) * (np.arange(self.config.columns) < i["lanes"])
        self.finish(i, self.sums[span], operand, i["output_row"] + index * i["output_stride"])

    def reduce(self, i: Instruction) -> None:
        row, inside = self.window(i)
        assert row[inside].max() < self.config.operand_depth and row[inside].min() >= 0
        codes = self.scratchpads[Target.OPERAND][np.where(inside, row, 0)].astype(np.int64)
        mask, zero = inside[:, :, None], i["input_zero_point"]
        match Mode(i["mode"]):
            case Mode.MAXIMUM:
                values = np.where(mask, codes, self.arithmetic.activation_range[0]).max(axis=1)
            case Mode.SUM:
                values = np.where(mask, codes - zero, 0).sum(axis=1)
            case Mode.PRODUCT:
                assert inside.all() and inside.shape[1] == 2
                values = (codes[:, 0] - zero) * (codes[:, 1] - i["second_zero_point"])
            case Mode.FIRST:
                assert inside.all()
                values = codes[:, 0] - zero
        operand = codes[:, -1].astype(np.int8) if i["add"] else None
        assert not i["add"] or inside[:, -1].all()
        self.finish(i, values, operand, i["output_row"] + np.arange(len(row)) * i["output_stride"])

    def depthwise(self, i: Instruction) -> None:
        row, inside = self.window(i)
        assert row[inside].max(initial=0) < self.config.operand_depth and row[inside].min(initial=0) >= 0
        codes = self.scratchpads[Target.OPERAND][np.where(inside, row, 0)].astype(np.int64) - i["input_zero_point"]
        x, slots = np.where(inside[:, :, None], codes, 0), np.arange(len(row)) % 64
        assert not (i["carry"] or i["keep"]) or len(row) <= 64
        if i["carry"]:
            acc, left = self.waiting[slots], self.waiting_overflowed[slots]
        else:
            acc = np.broadcast_to(self.parameters(i["parameters"])[0], (len(row), self.config.columns))
            left = np.zeros(acc.shape, np.int64)
        taps, zero = self.config.depthwise_taps, self.weight_zero_points(i["parameters"])
        pitch = {1: 1, 3: 4, 9: 16}[taps]
        for k in range(x.shape[1]):
            tap = divmod(k, i["kernel_width"])
            word, place = depthwise_place(tap, i["kernel_width"], i["dilation_width"], taps)
            weight = self.scratchpads[Target.DEPTHWISE][(i["weight_word"] + word) % 64 * pitch + place]
            exact = acc + x[:, k] * (weight.astype(np.int64) - zero)
            acc = overflow(exact, self.arithmetic.accumulator_bits, self.arithmetic.overflow)
            left = left | (acc != exact)
        if i["keep"]:
            self.waiting[slots], self.waiting_overflowed[slots] = acc, left
            return
        self.counters[0] += left.sum(axis=0) * (np.arange(self.config.columns) < i["lanes"])
        self.finish(i, acc, None, i["output_row"] + np.arange(len(row)) * i["output_stride"])

    def count(self, i: Instruction) -> None:
        assert i["output_row"] + COUNTER_ROWS <= len(self.output)
        for kind in range(3):
            for byte in range(4):
                row = i["output_row"] + 4 * kind + byte
                self.output[row] = (self.counters[kind] >> (8 * byte) & 255).astype(np.uint8).view(np.int8)

    def execute(self, i: Instruction) -> None:
        """One instruction, whole."""
        match i.opcode:
            case Opcode.LOAD:
                self.load(i)
            case Opcode.STORE:
                self.store(i)
            case Opcode.CONVOLVE:
                self.convolve(i)
            case Opcode.REQUANTIZE:
                self.requantize(i)
            case Opcode.REDUCE:
                self.reduce(i)
            case Opcode.DEPTHWISE:
                self.depthwise(i)
            case Opcode.ADDER:
                self.adder = i
            case Opcode.COUNTERS:
                self.count(i)

    def fetch(self, index: int, program_address: int) -> Instruction:
        """Instruction `index` of the program in memory, which must be legal."""
        at = program_address + index * INSTRUCTION_BYTES
        error, instruction = decode(self.memory[at : at + INSTRUCTION_BYTES].tobytes(), self.config.features)
        assert error == Error.NONE and instruction is not None, f"instruction {index}: {error.name}"
        return instruction


def run(config: AcceleratorConfig, image: bytes, program_address: int) -> bytes:
    """The memory after all instructions in program order."""
    machine, index = Interpreter(config, image), 0
    while (instruction := machine.fetch(index, program_address)).opcode != Opcode.HALT:
        machine.execute(instruction)
        index += 1
    return machine.memory.tobytes()


def run_out_of_order(config: AcceleratorConfig, image: bytes, program_address: int, rng: np.random.Generator) -> bytes:
    """The memory after a random order of the units: dispatch in order into the queues, execution where tokens are.

    A unit is favoured for a while, so that some run far ahead. ``AssertionError`` at a deadlock.
    """
    machine, index, halted = Interpreter(config, image), 0, False
    queues: dict[Unit, deque[Instruction]] = {unit: deque() for unit in Unit}
    tokens = np.zeros((len(Unit), len(Unit)), np.int64)
    favourite = Unit.LOAD
    while True:
        while not halted:  # dispatch as far as possible
            instruction = machine.fetch(index, program_address)
            halted = instruction.opcode == Opcode.HALT
            if halted:
                break
            queue = queues[UNIT_OF[instruction.opcode]]
            if len(queue) == QUEUE_DEPTH:
                break
            queue.append(instruction)
            index += 1
        ready = [
            unit
            for unit in Unit
            if queues[unit] and all(tokens[u, unit] for u in Unit if queues[unit][0]["wait"] >> u & 1)
        ]
        if not ready:
            assert halted and not any(queues.values()), f"deadlock at instruction {index}"
            return machine.memory.tobytes()
        if rng.random() < 0.1:
            favourite = Unit(int(rng.integers(len(Unit))))
        unit = favourite if favourite in ready else ready[int(rng.integers(len(ready)))]
        instruction = queues[unit].popleft()
        for other in Unit:
            tokens[other, unit] -= instruction["wait"] >> other & 1
        machine.execute(instruction)
        for other in Unit:
            tokens[unit, other] += instruction["signal"] >> other & 1
        assert tokens.max() < 256
