"""The accelerator's memories, what LOAD and STORE do to them, and which rows a window walks."""

from __future__ import annotations

import numpy as np

from emulator import AcceleratorConfig
from emulator.instructions import PARAMETER_ENTRIES, PARAMETER_PITCH, PARAMETER_ROWS, Instruction, Target


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


class Memories:
    """Codes, sums, parameters and counters, filled with noise."""

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
