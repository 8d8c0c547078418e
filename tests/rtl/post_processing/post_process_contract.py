"""`Contract`: what post-processing's instructions do, in plain integers."""

from __future__ import annotations

from emulator.instructions import Instruction, Mode, Opcode
from tests import oracle
from tests.rtl.post_processing.post_process_bench import Driver


class Contract:
    """What instructions do to the output scratchpad and the counters, with plain integers."""

    def __init__(self, driver: Driver):
        self.config, s = driver.config, driver.state
        self.operand, self.table, self.output = s.operand.tolist(), s.table.tolist(), s.output.tolist()
        self.sums, self.flags = s.sums.tolist(), s.overflowed.tolist()
        self.parameters = s.parameters.tolist()
        self.weights = s.depthwise_weights.tolist()
        self.waiting: dict[int, list[tuple[int, bool]]] = {}
        self.counts = [[0, 0, 0] for _ in range(self.config.columns)]
        self.adder: Instruction | None = None

    def code(self, byte: int) -> int:
        """The code in the low activation_bits of a byte."""
        return oracle.overflow(byte, self.config.arithmetic.activation_bits, "wrap")

    def finish(self, i: Instruction, operand: int, b: int | None, lane: int) -> int:
        """Requantizer, adder, table."""
        arithmetic = self.config.arithmetic
        entry = [row[lane] for row in self.parameters[i["parameters"]]]
        multiplier = int.from_bytes(bytes(entry[4:8]), "little") % (1 << arithmetic.multiplier_bits)
        limits = (i["zero_point"], min(i["y_min"], i["y_max"]), i["y_max"])
        rest = (arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits)
        code, clipped = oracle.requantize(operand, multiplier, entry[8] % 64, *limits, *rest)
        if i.opcode == Opcode.REQUANTIZE and i["byte"]:
            code, clipped = oracle.overflow(operand >> 8 * (i["byte"] - 1), 8, "wrap"), False
        self.counts[lane][1] += clipped and lane < i["lanes"]
        if i["add"]:
            assert self.adder is not None
            a = self.adder
            total, multiplier = (self.rescaled if arithmetic.adder == "rescaled" else self.shared)(a, code, b)
            limits = (a["zero_point"], min(a["y_min"], a["y_max"]), a["y_max"])
            code, clipped = oracle.requantize(total, multiplier, a["shift"], *limits, *rest)
            self.counts[lane][2] += clipped and lane < i["lanes"]
        return self.table[self.code(code) + (1 << (arithmetic.activation_bits - 1))][lane] if i["table"] else code

    def shared(self, a: Instruction, code: int, b: int | None) -> tuple[int, int]:
        """The sum of both terms, and what it is multiplied with."""
        mask = (1 << self.config.arithmetic.adder_multiplier_bits) - 1
        total = (code - a["a_zero_point"]) * (a["a_multiplier"] & mask)
        if b is not None:
            sign = -1 if a["subtract"] else 1
            total += sign * (b - a["b_zero_point"]) * (a["b_multiplier"] & mask)
        return total, 1

    def rescaled(self, a: Instruction, code: int, b: int | None) -> tuple[int, int]:
        """The same of the rescaled adder, whose sum has 29 bits."""
        arithmetic, mask = self.config.arithmetic, (1 << self.config.arithmetic.multiplier_bits) - 1
        rounding = arithmetic.rounding, arithmetic.multiplier_bits
        left, right = (
            0 if x is None else oracle.rescaled_operand(x, a[f"{side}_zero_point"], m & mask, shift, *rounding)
            for side, x, m, shift in (
                ("a", code, a["a_multiplier"], a["a_shift"]),
                ("b", b, a["b_multiplier"], a["b_shift"]),
            )
        )
        return oracle.overflow(left - right if a["subtract"] else left + right, 29, "wrap"), a["multiplier"] & mask

    def requantize(self, i: Instruction) -> None:
        """Block after block, each with the next parameters, rows and lanes' counters of its own."""
        for block in range(i["further_blocks"] + 1):
            rows = {name: i[name] + block for name in ("operand_row", "output_row")}
            rows |= {"accumulator_row": i["accumulator_row"] + block * i["count"]}
            self.requantize_block(
                Instruction(i.opcode, {**i.fields, **rows, "parameters": (i["parameters"] + block) % 16})
            )
            if block < i["further_blocks"] and self.config.counters:
                self.counters(Instruction(Opcode.COUNTERS, {"output_row": i["counter_row"] + 12 * block}))

    def requantize_block(self, i: Instruction) -> None:
        for p in range(i["count"]):
            row, lanes = i["accumulator_row"] + p, range(self.config.columns)
            operand = self.operand[i["operand_row"] + p * i["operand_stride"]] if i["add"] else [0] * len(lanes)
            for lane in lanes:
                self.counts[lane][0] += self.flags[row][lane] and lane < i["lanes"]
            codes = [self.finish(i, self.sums[row][lane], self.code(operand[lane]), lane) for lane in lanes]
            self.output[i["output_row"] + p * i["output_stride"]] = codes

    def reduce(self, i: Instruction) -> None:
        size = (i["input_height"], i["input_width"])
        dilation = (i["dilation_height"], i["dilation_width"])
        row = i["output_row"]
        for y in range(i["output_height"]):
            for x in range(i["output_width"]):
                corner = (y * i["stride_height"] - i["pad_top"], x * i["stride_width"] - i["pad_left"])
                taps = oracle.window(size, corner, (i["kernel_height"], i["kernel_width"]), dilation)
                rows = [t and i["input_row"] + (t[0] * size[1] + t[1]) * i["pixel_rows"] for t in taps]
                codes = []
                for lane in range(self.config.columns):
                    window = [None if r is None else self.code(self.operand[r][lane]) for r in rows]
                    codes.append(self.finish(i, self.gather(i, window), window[-1], lane))
                self.output[row], row = codes, row + i["output_stride"]

    def depthwise(self, i: Instruction) -> None:
        size, dilation = (i["input_height"], i["input_width"]), (i["dilation_height"], i["dilation_width"])
        kernel, columns = (i["kernel_height"], i["kernel_width"]), range(self.config.columns)
        row, n = i["output_row"], 0
        for y in range(i["output_height"]):
            for x in range(i["output_width"]):
                corner = (y * i["stride_height"] - i["pad_top"], x * i["stride_width"] - i["pad_left"])
                taps = oracle.window(size, corner, kernel, dilation)
                rows = [t and i["input_row"] + (t[0] * size[1] + t[1]) * i["pixel_rows"] for t in taps]
                made = [self.depthwise_sum(i, rows, self.waiting[n] if i["carry"] else None, lane) for lane in columns]
                if i["keep"]:
                    self.waiting[n] = made
                else:
                    for lane, (_, flag) in enumerate(made):
                        self.counts[lane][0] += flag and lane < i["lanes"]
                    self.output[row] = [self.finish(i, made[lane][0], None, lane) for lane in columns]
                row, n = row + i["output_stride"], n + 1

    def depthwise_sum(
        self, i: Instruction, rows: list[int | None], waiting: list[tuple[int, bool]] | None, lane: int
    ) -> tuple[int, bool]:
        """One lane's sum over the window, and whether a step overflowed."""
        arithmetic, entry = self.config.arithmetic, [row[lane] for row in self.parameters[i["parameters"]]]
        bits = arithmetic.accumulator_bits
        bias = oracle.overflow(int.from_bytes(bytes(entry[:4]), "little"), min(bits, 32), "wrap")
        acc, overflowed = waiting[lane] if waiting else (bias, False)
        x, w = [], []
        for tap, row in enumerate(rows):
            place = divmod(tap, i["kernel_width"])
            word, index = oracle.depthwise_place(
                place, i["kernel_width"], i["dilation_width"], self.config.depthwise_taps
            )
            if row is not None:
                x.append(self.code(self.operand[row][lane]))
                weight = self.weights[(i["weight_word"] + word) % 64][index][lane]
                w.append(oracle.overflow(weight, arithmetic.weight_bits, "wrap"))
        made = (x, w, acc, i["input_zero_point"], bits, arithmetic.overflow, self.weight_zero_point(entry))
        total, flag = oracle.dot(*made)
        return total, flag or overflowed

    def weight_zero_point(self, entry: list[int]) -> int:
        """Of a lane's parameters."""
        bits = self.config.arithmetic.weight_bits
        return oracle.overflow(entry[9], bits, "wrap") if self.config.weight_zero_points else 0

    def gather(self, i: Instruction, window: list[int | None]) -> int:
        """The requantizer's operand."""
        there, zero = [code for code in window if code is not None], i["input_zero_point"]
        if i["mode"] == Mode.MAXIMUM:
            return max([self.config.arithmetic.activation_range[0], *there])
        if i["mode"] == Mode.SUM:
            return sum(code - zero for code in there)
        first = 0 if window[0] is None else window[0] - zero
        later = [code for code in window[1:] if code is not None]
        return first * (later[-1] - i["second_zero_point"]) if i["mode"] == Mode.PRODUCT and later else first

    def counters(self, i: Instruction) -> None:
        for row in range(12):
            self.output[i["output_row"] + row] = [
                oracle.overflow(counts[row // 4] >> 8 * (row % 4), 8, "wrap") for counts in self.counts
            ]

    def execute(self, i: Instruction) -> None:
        if i.opcode == Opcode.ADDER:
            self.adder = i
        else:
            getattr(self, i.opcode.name.lower())(i)
