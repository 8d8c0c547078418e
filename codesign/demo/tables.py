"""The demo's tables, for the terminal and for the report."""

from __future__ import annotations

from typing import Any

from emulator import Arithmetic

from ..execution.report import accumulator_name
from ..table import Table, percent
from .result import Demo


def summary_table(demo: Demo) -> Table:
    """One row a way of computing the network: accuracy, codes that differ from the row above, cycles, seconds."""
    array = f"{demo.config.rows}×{demo.config.columns} elements"
    table = Table(
        f"Handwritten digits on {array} with {arithmetic_name(demo.config.arithmetic)}",
        ("network", "accuracy", "images", "codes that differ", "cycles per image", "array utilization", "seconds"),
    )
    seconds = iter(demo.seconds.values())
    images, ran = len(demo.test_labels), demo.rtl_images
    train, ptq, adaround, qat, emulator, machine, rtl = (f"{next(seconds):.1f}" for _ in range(7))
    differ, cycles = demo.mismatches, demo.cycles
    utilization = percent(demo.execution.utilization() or 0)
    table.add("float", percent(demo.float_accuracy), images, None, None, None, train)
    table.add("PTQ", percent(demo.ptq_accuracy), images, None, None, None, ptq)
    table.add("PTQ, fitted", percent(demo.fitted_accuracy), images, None, None, None, None)
    table.add("PTQ+", percent(demo.adaround_accuracy), images, None, None, None, adaround)
    table.add("QAT", percent(demo.qat_accuracy), images, None, None, None, qat)
    table.add(
        "emulator", percent(demo.emulator_accuracy), images, f"{differ['torch_emulator']} (torch)", None, None, emulator
    )
    table.add(
        "machine", percent(demo.machine_accuracy), ran, f"{differ['emulator_machine']} (emulator)",
        cycles["machine"] // ran, utilization, machine,
    )  # fmt: skip
    table.add(
        "RTL",
        percent(demo.rtl_accuracy),
        ran,
        f"{differ['machine_rtl']} (machine)",
        cycles["rtl"] // ran,
        utilization,
        rtl,
    )
    return table


def layer_table(demo: Demo) -> Table:
    """Every layer with its overflows, clips and mismatches."""
    columns = ("layer", "operator", "shape", "sums", "PTQ overflows", "fitted overflows", "QAT overflows", "QAT clips")
    table = Table(
        "Layer by layer, all test images",
        (*columns, "torch ≠ emulator", "emulator ≠ machine", "machine ≠ RTL"),
        left=3,
    )
    for layer in demo.layers():
        summed = layer["operator"] in ("Convolution", "Linear")
        counts: tuple[Any, ...] = (
            (layer["outputs"], layer["ptq_overflows"], layer["fitted_overflows"], layer["overflows"])
            if summed
            else (None,) * 4
        )
        shape = "×".join(map(str, layer["shape"]))
        table.add(layer["name"], layer["operator"], shape, *counts, layer["clips"], *layer["mismatches"].values())
    return table


def config_table(demo: Demo) -> Table:
    """Every field of the hardware's description."""
    table = Table("Hardware", ("field", "value"), left=2)
    fields = demo.config.as_dict()
    arithmetic = fields.pop("arithmetic")
    for name, value in {**fields, **arithmetic}.items():
        table.add(name, value)
    return table


def remarks(demo: Demo) -> list[str]:
    """What a reader should know about these figures, in sentences."""
    sentences = []
    best, trained = demo.best_ptq_accuracy, demo.qat_accuracy
    sentences.append(
        f"With {arithmetic_name(demo.config.arithmetic)}, min-max PTQ reaches {percent(demo.ptq_accuracy)}, "
        f"PTQ with scales fitted to the accumulator {percent(demo.fitted_accuracy)}, PTQ+ with learned roundings "
        f"{percent(demo.adaround_accuracy)}, and QAT {percent(trained)}: {_points(trained - best)} the best of them; "
        f"the float network has {percent(demo.float_accuracy)}."
    )
    if demo.is_wide:
        sentences.append("The accumulator is wide for these codes: not one sum of the PTQ network overflows.")
    sentences.append(verdict(demo))
    return sentences


def arithmetic_name(arithmetic: Arithmetic) -> str:
    """Codes and accumulator in a few words."""
    return (
        f"{arithmetic.weight_bits}-bit weights, {arithmetic.activation_bits}-bit activations and "
        f"the {accumulator_name(arithmetic)}"
    )


def held(demo: Demo) -> str:
    """What all points of the curve have in common, in a few words."""
    arithmetic = demo.config.arithmetic
    if demo.curve == "codes":
        return f"the {accumulator_name(arithmetic)}"
    return f"{arithmetic.weight_bits}-bit weights and {arithmetic.activation_bits}-bit activations"


def _points(difference: float) -> str:
    """A difference of shares, in percentage points, for a sentence."""
    if round(1000 * difference) == 0:
        return "equal to"
    return f"{abs(100 * difference):.1f} points {'more' if difference > 0 else 'less'} than"


def verdict(demo: Demo) -> str:
    """Whether the executions agree, in one sentence."""
    images = f"{demo.rtl_images} test images"
    if demo.holds:
        return (
            f"All agree: torch, emulator, machine and RTL have the same codes in every layer over {images}, "
            "machine and RTL the same cycle count for every image."
        )
    return f"The executions DIFFER over {images}: mismatching codes {demo.mismatches}, cycles {demo.cycles}."
