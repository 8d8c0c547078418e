"""`Arithmetic`: all that the accelerator's arithmetic depends on, in one frozen object (contract, section 1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

OVERFLOWS = ("saturate", "wrap")
ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "toward_zero", "double")
ADDERS = ("shared_shift", "rescaled")


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Raise ``ValueError`` unless `value` is an ``int`` (no bool) with low ≤ value ≤ high."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ``ValueError`` unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        known = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
        raise ValueError(f"{name} must be {known}, not {value!r}")


@dataclass(frozen=True)
class Arithmetic:
    """Widths and modes of the integer arithmetic; emulator, RTL and QAT all take this object.

    activation_bits : 2–8, signed codes of the activations
    weight_bits : 2–8, signed codes of the weights
    accumulator_bits : 8–48, signed width P of every partial sum and of the bias
    overflow : ``saturate`` or ``wrap``, applied after every single step of a sum
    multiplier_bits : 1–31, unsigned width of the requantization multiplier (1: shift only)
    rounding : rounding of the requantizer and of the adder; ``double`` is gemmlowp's and TFLM's (section 10)
    adder : ``shared_shift``, one rounding (section 4), or ``rescaled``, TFLM's three (section 11)

    Raises ``ValueError`` ("FIELD must be …, not VALUE") for an illegal value.
    """

    activation_bits: int = 8
    weight_bits: int = 8
    accumulator_bits: int = 32
    overflow: str = "saturate"
    multiplier_bits: int = 24
    rounding: str = "half_even"
    adder: str = "shared_shift"

    @classmethod
    def tflm(cls) -> Arithmetic:
        """The arithmetic of the int8 kernels of TensorFlow Lite for Microcontrollers (contract, section 11)."""
        return cls(accumulator_bits=32, multiplier_bits=31, rounding="double", adder="rescaled")

    def __post_init__(self) -> None:
        check_integer("activation_bits", self.activation_bits, 2, 8)
        check_integer("weight_bits", self.weight_bits, 2, 8)
        check_integer("accumulator_bits", self.accumulator_bits, 8, 48)
        check_choice("overflow", self.overflow, OVERFLOWS)
        check_integer("multiplier_bits", self.multiplier_bits, 1, 31)
        check_choice("rounding", self.rounding, ROUNDINGS)
        check_choice("adder", self.adder, ADDERS)
        if self.operand_bits + self.multiplier_bits > 63:
            raise ValueError(
                "multiplier_bits must be at most 63 − max(accumulator_bits, 24) = "
                f"{63 - self.operand_bits}, not {self.multiplier_bits}"
            )

    @property
    def is_tflm(self) -> bool:
        """Whether this is `tflm()`: then average pools and functions are TFLM's, too, for which there are no fields."""
        return self == Arithmetic.tflm()

    @property
    def operand_bits(self) -> int:
        """Signed width of the requantizer's operand and of exact sums in pools: max(P, 24)."""
        return max(self.accumulator_bits, 24)

    @property
    def adder_multiplier_bits(self) -> int:
        """Unsigned width of the residual adder's multipliers: max(multiplier_bits, 16)."""
        return max(self.multiplier_bits, 16)

    @property
    def bias_bits(self) -> int:
        """Signed width of a stored bias: min(P, 32)."""
        return min(self.accumulator_bits, 32)

    @property
    def activation_range(self) -> tuple[int, int]:
        """Smallest and largest activation code."""
        return -(1 << (self.activation_bits - 1)), (1 << (self.activation_bits - 1)) - 1

    @property
    def weight_range(self) -> tuple[int, int]:
        """Smallest and largest weight code."""
        return -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1

    @property
    def accumulator_range(self) -> tuple[int, int]:
        """Smallest and largest partial sum."""
        return -(1 << (self.accumulator_bits - 1)), (1 << (self.accumulator_bits - 1)) - 1

    @property
    def bias_range(self) -> tuple[int, int]:
        """Smallest and largest bias."""
        return -(1 << (self.bias_bits - 1)), (1 << (self.bias_bits - 1)) - 1

    def as_dict(self) -> dict[str, int | str]:
        """All fields, for TOML, JSON and ONNX metadata."""
        return asdict(self)
