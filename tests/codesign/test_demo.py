"""Parts of the demo, on a small model: what it counts, its JSON, its table, its report. `make demo` runs the whole."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from codesign.console import to_json
from codesign.demo import Demo, WidthPoint
from codesign.demo_report import report_html
from codesign.demo_table import layer_table, remarks, summary_table
from codesign.execution import Execution, load_model
from codesign.inputs import load_inputs
from emulator import Arithmetic
from tests.codesign.models import SHAPE, small_model

KEYS = {
    "float_accuracy", "ptq_accuracy", "qat_accuracy", "emulator_accuracy", "rtl_accuracy", "rtl_images", "mismatches",
    "cycles", "seconds", "layers", "accuracy_by_width", "utilization", "config", "holds",
}  # fmt: skip
IMAGES, RTL_IMAGES = 20, 12


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo whose RTL is a second run of the machine, with labels that the small model gets right half of the time."""
    folder = tmp_path_factory.mktemp("demo")
    graph, config = load_model(small_model(folder, accumulator_bits=16))
    execution = Execution(graph, config, load_inputs(graph, None, IMAGES))
    execution.rtl = execution.run_machine(RTL_IMAGES)
    execution.run_machine(RTL_IMAGES)
    labels = execution.outputs["output"].argmax(1)
    labels[::2] = (labels[::2] + 1) % 5
    phases = ("float", "PTQ", "QAT", "widths", "emulator", "machine", "RTL <Verilator>")
    return Demo(
        config=config,
        test_images=np.zeros((IMAGES, 1, *SHAPE[1:]), np.float32),
        test_labels=labels,
        float_accuracy=0.9,
        ptq_accuracy=0.25,
        fitted_accuracy=0.75,
        qat_accuracy=0.875,
        widths=(WidthPoint(12, 0.125, 0.375, 0.5, 5), WidthPoint(16, 0.25, 0.75, 0.875, 15)),
        execution=execution,
        torch_emulator=dict.fromkeys(execution.layers, 0),
        ptq_overflows=dict.fromkeys(execution.layers, 3),
        predictions={"PTQ": labels, "QAT": labels, "RTL": labels[:RTL_IMAGES]},
        seconds={name: float(number) for number, name in enumerate(phases)},
    )


def test_accuracies_come_from_the_codes(demo: Demo) -> None:
    assert demo.emulator_accuracy == demo.rtl_accuracy == demo.machine_accuracy == 0.5


def test_json_has_the_promised_keys(demo: Demo) -> None:
    result = demo.as_dict()
    assert set(result) >= KEYS
    assert result["mismatches"] == {"torch_emulator": 0, "emulator_machine": 0, "machine_rtl": 0}
    assert result["cycles"]["machine"] == result["cycles"]["rtl"] > 0
    assert result["rtl_images"] == RTL_IMAGES and result["test_images"] == IMAGES
    assert result["holds"] is True
    assert to_json(result)


def test_utilization_is_macs_by_cycles_and_elements(demo: Demo) -> None:
    macs = 4 * 6 * 6 * 2 * 3 * 3 + 36 * 5
    assert demo.as_dict()["utilization"] == macs * RTL_IMAGES / (demo.cycles["rtl"] * 64)


@pytest.mark.parametrize("layer", ["conv", "fc"])
def test_a_single_wrong_code_of_any_layer_fails(demo: Demo, layer: str) -> None:
    rtl = demo.execution.rtl
    assert rtl is not None
    codes = {name: array.copy() for name, array in rtl.layers.items()}
    codes[layer].reshape(-1)[-1] ^= 1
    demo.execution.rtl = replace(rtl, layers=codes)
    try:
        assert demo.mismatches["machine_rtl"] == 1
        assert not demo.holds
        assert "DIFFER" in remarks(demo)[-1]
    finally:
        demo.execution.rtl = rtl
    assert not replace(demo, torch_emulator={**demo.torch_emulator, layer: 1}).holds


def test_a_wrong_cycle_count_or_byte_fails(demo: Demo) -> None:
    rtl = demo.execution.rtl
    assert rtl is not None
    cycles = (rtl.cycles_per_sample[0] + 1, rtl.cycles_per_sample[1] - 1, *rtl.cycles_per_sample[2:])
    for wrong in (replace(rtl, cycles_per_sample=cycles), replace(rtl, memory=rtl.memory[:-1] + b"\x55")):
        demo.execution.rtl = wrong
        assert not demo.holds
    demo.execution.rtl = rtl
    assert demo.holds


def test_table(demo: Demo) -> None:
    rows = {row[0]: row for row in summary_table(demo).rows}
    assert rows["float"][1] == "90.0 %" and rows["PTQ"][1] == "25.0 %"
    assert rows["emulator"][3] == "0 (torch)" and rows["RTL"][3] == "0 (machine)"
    assert rows["machine"][2] == rows["RTL"][2] == str(RTL_IMAGES)
    assert [row[0] for row in layer_table(demo).rows] == ["conv", "pool", "flatten", "fc"]


def test_a_wide_accumulator_is_called_so(demo: Demo) -> None:
    assert "PTQ reaches 25.0 %" in remarks(demo)[0]
    wide = replace(demo, ptq_overflows=dict.fromkeys(demo.ptq_overflows, 0))
    assert "wide" in remarks(wide)[0]


def test_report_is_one_file_that_loads_nothing(demo: Demo) -> None:
    page = report_html(demo)
    assert "http" not in page
    assert not re.search(r"<(script|link|iframe|object|embed)\b|@import|url\((?!#)", page)
    references = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert references and all(reference.startswith(("#", "data:")) for reference in references)
    assert page.count("<svg") == page.count("</svg>") == 3
    assert "RTL &lt;Verilator&gt;" in page and "RTL <Verilator>" not in page
    assert "accumulator_bits" in page and "$" not in page


def test_report_is_the_same_every_time(demo: Demo) -> None:
    assert report_html(demo) == report_html(demo)


def test_default_accumulator_is_narrow_and_saturating() -> None:
    from codesign.demo import CONFIG

    assert (CONFIG.rows, CONFIG.columns) == (8, 8)
    assert CONFIG.arithmetic == Arithmetic(accumulator_bits=12, overflow="saturate")
