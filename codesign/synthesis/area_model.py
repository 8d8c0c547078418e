"""LUTs, flip-flops, multipliers and block RAMs of a config, predicted from those of configs that were synthesized.

Multipliers and block RAMs are counted (`block_resources`). LUTs and flip-flops of each group of parts are linear in its
`area_features`, by least squares of relative errors. Each prediction comes with the error that the model makes on the
synthesized configs when each of them in turn is left out of the fit; of arrays larger than any synthesized one, up to
twice as large, with the error that it makes on the larger half of them when it is fitted on the smaller half.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from emulator.config import AcceleratorConfig, config_from_dict

from .area import Area, fingerprint, sources
from .area_features import GROUPS, features, instances
from .block_resources import block_rams, multipliers

SHIPPED = Path(__file__).with_name("measured") / "ecp5.json"
FITTED = ("LUTs", "FFs")
FEWEST = 8
"""Synthesized configs below which there is no model."""
FARTHEST = 2
"""Times the sides of the largest synthesized arrays up to which an error is known."""
SIDES = ("rows", "columns")
SIZES = tuple(f"{name}_bytes" for name in (
    "activation_scratchpad", "weight_scratchpad", "operand_scratchpad", "output_scratchpad", "accumulator",
))  # fmt: skip
RIDGE = 1e-3
"""What keeps coefficients small that the measurements do not determine."""


@dataclass(frozen=True)
class Measured:
    """A synthesized config: LUTs and FFs of each of `area_features.GROUPS`, block RAMs and multipliers of the whole."""

    config: AcceleratorConfig
    groups: Mapping[str, Mapping[str, int]]
    block_rams: int
    dsps: int

    def total(self, resource: str) -> int:
        """LUTs or FFs of the whole."""
        return sum(group[resource] for group in self.groups.values())

    @classmethod
    def of(cls, area: Area) -> Measured:
        """From a synthesis."""
        groups = {name: dict.fromkeys(FITTED, 0) for name in GROUPS}
        for part, (_, counts) in area.parts.items():
            for resource in FITTED:
                groups[_group(part)][resource] += counts[resource]
        return cls(area.config, groups, area.resources["BRAMs"], area.resources["DSPs"])

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the config's fields in full."""
        groups = {name: [group[resource] for resource in FITTED] for name, group in self.groups.items()}
        return {"config": self.config.as_dict(), "groups": groups, "brams": self.block_rams, "dsps": self.dsps}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Measured:
        """From `as_dict`."""
        groups = {name: dict(zip(FITTED, counts, strict=True)) for name, counts in table["groups"].items()}
        return cls(config_from_dict(table["config"]), groups, table["brams"], table["dsps"])


def _group(part: str) -> str:
    """The group that a part of the hierarchy belongs to."""
    found = [name for name, path in GROUPS.items() if path and (part == path or part.startswith(f"{path}."))]
    return found[0] if found else "control"


@dataclass(frozen=True)
class Prediction:
    """A predicted number of cells.

    error_median, error_worst : relative errors over the synthesized configs, each predicted without itself; of a
        larger array, over the larger half, predicted from the smaller one; 0 where the number is counted; None: not
        known
    outside : what of the config is beyond all synthesized ones, as ``rows 32 (2 to 16)``
    """

    value: int
    error_median: float | None
    error_worst: float | None
    outside: tuple[str, ...] = ()


class AreaModel:
    """Fitted on at least `FEWEST` synthesized configs; raises ``ValueError`` for fewer."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        if len(measured) < FEWEST:
            raise ValueError(
                f"an area model must be fitted on {FEWEST} synthesized configs or more, not {len(measured)}"
            )
        self.measured = tuple(measured)
        self._coefficients = {key: _fit(*key, self.measured) for key in _keys()}

    @cached_property
    def errors(self) -> dict[str, tuple[float, float]]:
        """LUTs and FFs → (median, worst) relative error over the synthesized configs, each predicted without itself."""
        return {resource: _errors(left_out(self.measured, resource)) for resource in FITTED}

    @cached_property
    def far_errors(self) -> dict[str, tuple[float, float]]:
        """The same of arrays with a side above half of the longest, predicted from the others; {} if those are few."""
        edge = max(_side(one.config) for one in self.measured) / FARTHEST
        near = [one for one in self.measured if _side(one.config) <= edge]
        far = [one for one in self.measured if _side(one.config) > edge]
        if len(near) < FEWEST:
            return {}
        fitted = {key: _fit(*key, near) for key in _keys()}
        return {
            resource: _errors([(one.config, one.total(resource), _sum(fitted, resource, one.config)) for one in far])
            for resource in FITTED
        }

    @cached_property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """`SIDES` and `SIZES` → the least and the most among the synthesized configs."""
        values = {name: [getattr(one.config, name) for one in self.measured] for name in (*SIDES, *SIZES)}
        return {name: (min(found), max(found)) for name, found in values.items()}

    def outside(self, config: AcceleratorConfig) -> tuple[str, ...]:
        """What of a config is beyond all synthesized ones, in words."""
        return tuple(
            f"{name} {getattr(config, name)} ({least} to {most})"
            for name, (least, most) in self.ranges.items()
            if not least <= getattr(config, name) <= most
        ) + self._unknown(config)

    def _unknown(self, config: AcceleratorConfig) -> tuple[str, ...]:
        """Hardware of a config that none of the synthesized ones has."""
        parts = {"packed_multipliers true": config.packed_multipliers}
        parts[f"depthwise_taps {config.depthwise_taps}"] = config.depthwise_taps > 0
        for one in self.measured:
            if one.config.packed_multipliers:
                parts["packed_multipliers true"] = False
            parts.pop(f"depthwise_taps {one.config.depthwise_taps}", None)
        return tuple(name for name, missing in parts.items() if missing)

    def _errors_at(self, config: AcceleratorConfig) -> dict[str, tuple[float, float]]:
        """LUTs and FFs → (median, worst) relative error that is to be expected; {}: not known."""
        if not self.outside(config):
            return self.errors
        reach = {
            name: (least, most * (FARTHEST if name in SIDES else 1)) for name, (least, most) in self.ranges.items()
        }
        near = all(least <= getattr(config, name) <= most for name, (least, most) in reach.items())
        near = near and not self._unknown(config)
        return self.far_errors if near else {}

    def predict(self, config: AcceleratorConfig) -> dict[str, Prediction]:
        """Resource, as `synthesize.SITES` names them → how many of them."""
        errors, outside = self._errors_at(config), self.outside(config)
        found = {
            resource: Prediction(
                round(_sum(self._coefficients, resource, config)), *errors.get(resource, (None, None)), outside
            )
            for resource in FITTED
        }
        return {
            **found,
            "BRAMs": Prediction(block_rams(config), 0.0, 0.0),
            "DSPs": Prediction(multipliers(config), 0.0, 0.0),
        }

    def parts(self, config: AcceleratorConfig) -> dict[str, dict[str, int]]:
        """Group → predicted LUTs and FFs."""
        return {
            group: {
                resource: round(_group_sum(self._coefficients[group, resource], group, resource, config))
                for resource in FITTED
            }
            for group in GROUPS
        }


def left_out(measured: Sequence[Measured], resource: str) -> list[tuple[AcceleratorConfig, int, float]]:
    """(config, synthesized, predicted by the model of all others) of each synthesized config."""
    found = []
    for index, one in enumerate(measured):
        others = [*measured[:index], *measured[index + 1 :]]
        fitted = {key: _fit(*key, others) for key in _keys() if key[1] == resource}
        found.append((one.config, one.total(resource), _sum(fitted, resource, one.config)))
    return found


def load_model(extra: Iterable[Measured] = ()) -> AreaModel:
    """The model of the shipped syntheses and of `extra` ones; of two of one config the latter one counts."""
    return AreaModel(list({one.config: one for one in [*shipped(), *extra]}.values()))


def shipped() -> tuple[Measured, ...]:
    """The syntheses that come with the package."""
    return tuple(Measured.from_dict(table) for table in _shipped()["configs"])


def measured_on_this_rtl() -> bool:
    """Whether the shipped syntheses are of the RTL that is installed; else the model is one of an earlier RTL."""
    return measured_on_these_sources() or measured_on(fingerprint())


def measured_on_these_sources() -> bool:
    """Whether they are certainly, which is quick to say: not even a comment of the RTL differs."""
    found: bool = _shipped()["sources"] == sources()
    return found


def measured_on(rtl: str | None) -> bool:
    """Whether the shipped syntheses are of the RTL that has this `area.fingerprint`."""
    found: bool = _shipped()["rtl"] == rtl
    return found


@cache
def _shipped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return found


def _keys() -> list[tuple[str, str]]:
    return [(group, resource) for group in GROUPS for resource in FITTED]


def _fit(group: str, resource: str, measured: Sequence[Measured]) -> dict[str, float]:
    """The coefficients of a group's features."""
    there = [one for one in measured if instances(group, one.config)]
    if not there:
        return {}
    each = [features(group, resource, one.config) for one in there]
    targets = np.array([one.groups[group][resource] / instances(group, one.config) for one in there])
    names = list(each[0])
    matrix = np.array([[row[name] for name in names] for row in each], dtype=float)
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1.0
    weights = 1 / np.maximum(targets, 1.0)
    system = matrix / scale * weights[:, None]
    count = len(names)
    ridge = RIDGE * np.eye(count) * weights.mean()
    solution = np.linalg.lstsq(np.vstack([system, ridge]), np.concatenate([targets * weights, np.zeros(count)]))[0]
    return dict(zip(names, (solution / scale).tolist(), strict=True))


def _side(config: AcceleratorConfig) -> int:
    """The longer side of the array."""
    return max(config.rows, config.columns)


def _group_sum(coefficients: Mapping[str, float], group: str, resource: str, config: AcceleratorConfig) -> float:
    count = instances(group, config)
    if not count or not coefficients:
        return 0.0
    found = features(group, resource, config)
    return max(count * sum(coefficients[name] * value for name, value in found.items()), 0.0)


def _sum(
    coefficients: Mapping[tuple[str, str], Mapping[str, float]], resource: str, config: AcceleratorConfig
) -> float:
    return sum(_group_sum(coefficients[group, resource], group, resource, config) for group in GROUPS)


def _errors(found: Sequence[tuple[AcceleratorConfig, int, float]]) -> tuple[float, float]:
    """(median, worst) relative error."""
    errors = [abs(predicted - real) / real for _, real, predicted in found]
    return statistics.median(errors), max(errors)
