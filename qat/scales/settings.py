"""`Settings`: which layer gets which bits, observers and kind of scale, by rules on the layers' names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from emulator import Arithmetic
from emulator.arithmetic import check_choice, check_integer

from .grid import Grid
from .observers import OBSERVERS
from .scale import SCALES

WEIGHT_OBSERVERS = ("min_max", "mse")
BITS = ("weight_bits", "activation_bits")


@dataclass(frozen=True, kw_only=True)
class LayerSettings:
    """How one layer is quantized: its weights, and its output.

    weight_bits, activation_bits : 2–8, at most the arithmetic's; None for the arithmetic's
    observer : what the range of the output comes from (`qat.scales.observers`): ``min_max``, ``moving_average``,
        ``percentile``, ``mse`` or ``entropy``
    percentile : 50–100, of the observer of that name, for each end of the range
    symmetric : whether the output's zero point is 0, which leaves half of the codes unused behind a ReLU
    weight_observer : ``min_max``, or ``mse`` for the weight scales of least squared error
    per_channel : whether every output channel has a weight scale (and zero point) of its own
    symmetric_weights : whether the zero points of the weights are 0; otherwise their codes span the range from the
        smallest to the largest weight and 0, which needs an accelerator with `weight_zero_points`
    scale : ``free`` float32 scales that follow the observers in training, ``power_of_two`` ones that do the same,
        ``learned`` as step sizes (LSQ), or ``learned_log``, learned in the log domain; see `qat.scales.scale`

    Layers that share weights, as the steps of a recurrent module do, have one scale for them, with the settings of the
    first of these layers.

    ``learned_log`` is the default because one learning rate suits scales of every size: Adam at 1e-3 moves each by
    about 3 % a step, and so can raise it many times over until sums fit a narrow accumulator. A ``learned`` scale
    moves by about the learning rate itself. Weight scales of 8 bits are often near 1e-3 or below: at that rate some
    collapse, while 1e-4 suits them, but is slow to find the way out of overflows.

    Raises ``ValueError`` ("FIELD must be …, not VALUE") for an illegal value.
    """

    weight_bits: int | None = None
    activation_bits: int | None = None
    observer: str = "min_max"
    percentile: float = 99.99
    symmetric: bool = False
    weight_observer: str = "min_max"
    per_channel: bool = True
    symmetric_weights: bool = True
    scale: str = "learned_log"

    def __post_init__(self) -> None:
        for name in BITS:
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), 2, 8)
        check_choice("observer", self.observer, tuple(OBSERVERS))
        if isinstance(self.percentile, bool) or not isinstance(self.percentile, (int, float)):
            raise ValueError(f"percentile must be a number, not {self.percentile!r}")
        if not 50 <= self.percentile <= 100:
            raise ValueError(f"percentile must be from 50 to 100, not {self.percentile!r}")
        check_choice("weight_observer", self.weight_observer, WEIGHT_OBSERVERS)
        for name in ("symmetric", "per_channel", "symmetric_weights"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")
        check_choice("scale", self.scale, tuple(SCALES))

    def grid(self, arithmetic: Arithmetic) -> Grid:
        """The codes of the layer's output."""
        bits = self.activation_bits or arithmetic.activation_bits
        return Grid(bits=bits, symmetric=self.symmetric, power_of_two=self.scale == "power_of_two")


@dataclass(frozen=True)
class Settings:
    """Rules for the layers: {pattern of names: {field of `LayerSettings`: value}}, later rules over earlier ones.

    Patterns are those of `fnmatch`, in which ``*`` also matches dots. The model's input is the layer ``input``.
    Example::

        Settings({"*": {"weight_bits": 4, "scale": "learned"}, "head": {"weight_bits": 8}})

    Raises ``ValueError`` naming the pattern and the field of an illegal rule.
    """

    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.rules, Mapping):
            raise ValueError(f"settings must map patterns of layer names to fields and values, not {self.rules!r}")
        known = [f.name for f in fields(LayerSettings)]
        for pattern, values in self.rules.items():
            if not isinstance(pattern, str) or not isinstance(values, Mapping):
                raise ValueError(f"rule {pattern!r} must map a pattern of layer names to fields and values")
            for name in values:
                if name not in known:
                    raise ValueError(f"rule {pattern!r}: its fields must be among {', '.join(known)}, not {name!r}")
            try:
                LayerSettings(**values)
            except ValueError as error:
                raise ValueError(f"rule {pattern!r}: {error}") from None
        object.__setattr__(self, "rules", {pattern: dict(values) for pattern, values in self.rules.items()})

    def of(self, layer: str) -> LayerSettings:
        """What the rules say about the layer of that name."""
        result = LayerSettings()
        for pattern, values in self.rules.items():
            if fnmatchcase(layer, pattern):
                result = replace(result, **values)
        return result

    def check(self, layers: Iterable[str], arithmetic: Arithmetic) -> None:
        """Raise ``ValueError`` naming a pattern that matches none of `layers`, or asks for more bits than there are."""
        names = list(layers)
        for pattern, values in self.rules.items():
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ValueError(f"rule {pattern!r} must match a layer with scales: {', '.join(names)}")
            for name in BITS:
                most = getattr(arithmetic, name)
                bits = values.get(name) or 0
                if bits > most:
                    raise ValueError(f"rule {pattern!r}: {name} must be at most the arithmetic's {most}, not {bits}")

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The rules as plain dictionaries, for JSON."""
        return {pattern: dict(values) for pattern, values in self.rules.items()}


def as_settings(settings: Settings | Mapping[str, Mapping[str, Any]] | None) -> Settings:
    """`settings` themselves, or made of rules."""
    return settings if isinstance(settings, Settings) else Settings({} if settings is None else settings)
