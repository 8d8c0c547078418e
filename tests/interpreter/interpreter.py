"""`Interpreter`: what each instruction does."""

from __future__ import annotations

import numpy as np

from emulator.instructions import (
    COUNTER_ROWS,
    INSTRUCTION_BYTES,
    PARAMETER_ENTRIES,
    Error,
    Instruction,
    Mode,
    Opcode,
    Target,
    decode,
)
from emulator.operators.requantization.requantize import requantize_unchecked
from emulator.operators.requantization.rounding import round_shift
from tests.oracle import depthwise_place

from .memories import Memories, overflow


class Interpreter(Memories):
    """One instruction after the other on its memories."""

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
        """Column block after column block; between them their counters."""
        blocks = i["further_blocks"] + 1
        for block in range(blocks):
            rows = {"accumulator_row": i["accumulator_row"] + block * i["count"]}
            rows |= {name: i[name] + block for name in ("operand_row", "output_row")}
            entry = (i["parameters"] + block) % PARAMETER_ENTRIES
            self.requantize_block(Instruction(i.opcode, {**i.fields, **rows, "parameters": entry}))
            if block < blocks - 1 and self.config.counters:
                self.count(i["counter_row"] + block * COUNTER_ROWS)

    def requantize_block(self, i: Instruction) -> None:
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

    def count(self, first: int) -> None:
        assert first + COUNTER_ROWS <= len(self.output)
        for kind in range(3):
            for byte in range(4):
                row = first + 4 * kind + byte
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
                self.count(i["output_row"])

    def fetch(self, index: int, program_address: int) -> Instruction:
        """Instruction `index` of the program in memory, which must be legal."""
        at = program_address + index * INSTRUCTION_BYTES
        error, instruction = decode(self.memory[at : at + INSTRUCTION_BYTES].tobytes(), self.config.features)
        assert error == Error.NONE and instruction is not None, f"instruction {index}: {error.name}"
        return instruction
