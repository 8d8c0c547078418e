"""The points of a space: how many, in which order, and the one of given labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from .fields import RECIPE, TRAINING, make_config
from .study import Point, Study


class IllegalPointError(ValueError):
    """A combination of legal choices that makes no accelerator."""


def space_size(study: Study) -> int:
    """Number of combinations, legal or not."""
    return math.prod(len(dimension.labels) for dimension in study.space)


def combinations(study: Study) -> Iterator[dict[str, Any]]:
    """{dimension: label} of all combinations, legal or not, the last dimension's choices fastest."""
    names = [dimension.name for dimension in study.space]
    for labels in product(*(dimension.labels for dimension in study.space)):
        yield dict(zip(names, labels, strict=True))


def points(study: Study) -> Iterator[Point]:
    """The points of all legal combinations, in the order of `combinations`."""
    for labels in combinations(study):
        try:
            yield point(study, labels)
        except IllegalPointError:
            continue


def point(study: Study, labels: Mapping[str, Any]) -> Point:
    """The point of one label per dimension.

    Raises `IllegalPointError` where the combination makes no accelerator, ``ValueError`` for labels that are not the
    space's.
    """
    names = [dimension.name for dimension in study.space]
    for name in labels:
        if name not in names:
            raise ValueError(f"a point's labels must be of {', '.join(names)}, not of {name!r}")
    values: dict[str, Any] = dict(study.fixed)
    if study.training is not None:
        values[RECIPE] = study.training.recipe
    chosen = {}
    for dimension in study.space:
        if dimension.name not in labels:
            raise ValueError(f"a point must have a label for each dimension; {dimension.name} has none")
        label = labels[dimension.name]
        if label not in dimension.labels:
            raise ValueError(f"{dimension.name} must be one of {', '.join(map(str, dimension.labels))}, not {label!r}")
        chosen[dimension.name] = label
        values.update(dimension.choices[dimension.labels.index(label)])
    try:
        config = make_config(values)
    except ValueError as error:
        raise IllegalPointError(str(error).removeprefix("config: ")) from None
    return Point(chosen, config, **{name: values.get(name) for name in TRAINING})
