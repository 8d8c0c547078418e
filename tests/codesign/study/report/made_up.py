"""A study's result that no hardware has, for the tests of what shows it; its numbers are formulas of its choices."""

from __future__ import annotations

from dataclasses import replace

from codesign.study.definition.study import (
    Constraint,
    Data,
    Dimension,
    Network,
    Objective,
    Point,
    Search,
    Study,
    Training,
)
from codesign.study.result import PointResult, StudyResult
from codesign.study.value import Value
from emulator import AcceleratorConfig, Arithmetic

LAYERS = ("conv1", "block1/add", "dense")
NASTY = '</script><img src=x onerror="alert(1)">&amp; <b>"\'\u2028'


def made_up(*, sizes: tuple[int, ...] = (4, 8, 16), nasty: str = "") -> StudyResult:
    """3 sizes × 2 dataflows × 2 widths; point 3 failed, the largest arrays violate a constraint.

    nasty : a text that is in every name and sentence that comes from outside
    """
    flows, widths = ("weight_stationary", "output_stationary"), (16, 24)
    space = (
        Dimension("array" + nasty, tuple(f"{n}×{n}" for n in sizes), tuple({"rows": n, "columns": n} for n in sizes)),
        Dimension("dataflow", flows, tuple({"dataflow": flow} for flow in flows)),
        Dimension(
            "arithmetic.accumulator_bits", widths, tuple({"arithmetic.accumulator_bits": bits} for bits in widths)
        ),
    )
    study = Study(
        name="Which array?" + nasty,
        network=Network("builtin", "ResNet-8" + nasty),
        data=Data("builtin", "digits"),
        training=Training("qat", {"epochs": 3, "learning_rate": 1e-3}),
        space=space,
        objectives=(Objective("cycles", "minimize"), Objective("luts", "minimize"), Objective("accuracy", "maximize")),
        constraints=(Constraint("luts", high=20000),),
        fixed={"bus_bytes": 16},
        search=Search("grid", None, 0, 16),
    )
    points = []
    for index, (size, flow, bits) in enumerate((s, f, b) for s in sizes for f in flows for b in widths):
        config = AcceleratorConfig(
            rows=size, columns=size, dataflow=flow, bus_bytes=16, arithmetic=Arithmetic(accumulator_bits=bits)
        )
        point = Point({space[0].name: f"{size}×{size}", "dataflow": flow, "arithmetic.accumulator_bits": bits}, config)
        if index == 3:
            points.append(
                PointResult(index, point, failure="the training diverged" + nasty, command="lockstep again 3")
            )
        else:
            points.append(_worth(index, point, size, bits, nasty))
    return StudyResult(
        study,
        tuple(_with_front(points)),
        "complete",
        len(points),
        {"version": "0.1.0", "commit": "abcdef0", "seconds": "75.25", "processor": "a processor" + nasty},
        ("The area model is of 32 syntheses." + nasty,),
    )


def _worth(index: int, point: Point, size: int, bits: int, nasty: str) -> PointResult:
    slower = 1000 * (point.config.dataflow == "output_stationary")
    cycles = 4_000_000 // size**2 + slower
    luts = 90.5 * size**2 + 40 * bits
    return PointResult(
        index,
        point,
        {
            "cycles": Value(cycles, "exact", None, "machine"),
            "luts": Value(luts, "estimate", 0.085, "area model of 32 syntheses" + nasty),
            "accuracy": Value(0.9 + bits / 1000, "exact", None, "validation data"),
            "energy_uj": Value(12.3456 + size / 7, "model", None, "Horowitz 2014"),
        },
        violations=("luts must be at most 20 000" + nasty,) if luts > 20000 else (),
        layers=tuple(_layer(at, name + nasty, cycles, size) for at, name in enumerate(LAYERS)),
        timeline=tuple(
            (unit, name + nasty, cycles * at // 3, cycles * (at + 1) // 3)
            for at, name in enumerate(LAYERS)
            for unit in ("LOAD", "CONVOLVE", "POST_PROCESS", "STORE")
        ),
        cached=index % 2 == 1,
        command=f"lockstep study x.toml --point {index}" + nasty,
    )


def _layer(at: int, name: str, cycles: int, size: int) -> dict[str, object]:
    kind = ("compute", "bus", "latency")[at]
    return {
        "name": name,
        "nodes": [name],
        "operator": ("Convolution + Add", "Add", "Linear")[at],
        "shape": [16, 32, 32],
        **({"weight_bits": 3, "activation_bits": 5} if at == 0 else {}),
        "instructions": 12,
        "start": cycles * at // 3,
        "end": cycles * (at + 1) // 3,
        "cycles": cycles * (at + 1) // 3 - cycles * at // 3,
        "macs": (1_000_000, 0, 640)[at],
        "utilization": (0.75, 0.0, 0.01)[at],
        "bytes_read": 4096 * (at + 1),
        "bytes_written": 2048,
        "bytes_fetched": 768,
        "bytes_moved": 4096 * (at + 1) + 2048 + 768,
        "busy": {"load": 10, "convolve": 20, "post_process": 30, "store": 40},
        "shares": {"array": 0.9, "post_processing": 0.1, "reads": 0.2, "writes": 0.1},
        "intensity": 1.5,
        "bound": kind,
        "reason": "the array busy for 95 % of the cycles",
        "energy": {"dram": 1e6 / size, "activation_scratchpad": 2e5, "array": 3e5},
    }


def _with_front(points: list[PointResult]) -> list[PointResult]:
    def vector(point: PointResult) -> tuple[float, ...]:
        return (point.values["cycles"].number, point.values["luts"].number, -point.values["accuracy"].number)

    good = [point for point in points if point.failure is None and not point.violations]
    beaten = {
        a.index
        for a in good
        for b in good
        if vector(a) != vector(b) and all(y <= x for x, y in zip(vector(a), vector(b), strict=True))
    }
    made = []
    for point in points:
        front = point in good and point.index not in beaten
        made.append(replace(point, front=front, test_accuracy=0.91 if front else None))
    return made
