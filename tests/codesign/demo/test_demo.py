"""Parts of the demo, on a small model: what it counts, its JSON, its table, its report. `make demo` runs the whole."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from codesign.console import to_json
from codesign.demo import CurvePoint, Demo
from codesign.demo.report import report_html
from codesign.demo.tables import layer_table, remarks, summary_table
from codesign.execution import Execution, load_model
from codesign.inputs import load_inputs
from emulator import Arithmetic
from tests.codesign.models import SHAPE, small_model

KEYS = {
    "float_accuracy", "ptq_accuracy", "fitted_accuracy", "adaround_accuracy", "qat_accuracy",
    "emulator_accuracy", "rtl_accuracy", "rtl_images", "mismatches",
    "cycles", "seconds", "layers", "curve", "accuracy_by_width", "utilization", "config", "holds",
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
    phases = ("float", "PTQ", "PTQ+", "QAT", "emulator", "machine", "RTL <Verilator>", "curve")
    own = config.arithmetic
    narrow = replace(own, weight_bits=2, activation_bits=3)
    return Demo(
        config=config,
        test_images=np.zeros((IMAGES, 1, *SHAPE[1:]), np.float32),
        test_labels=labels,
        float_accuracy=0.9,
        ptq_accuracy=0.25,
        fitted_accuracy=0.75,
        adaround_accuracy=0.775,
        qat_accuracy=0.875,
        curve="codes",
        points=(CurvePoint(own, 0.25, 0.75, 0.775, 0.875, 15), CurvePoint(narrow, 0.125, 0.375, 0.25, 0.5, 5)),
        execution=execution,
        torch_emulator=dict.fromkeys(execution.layers, 0),
        ptq_overflows=dict.fromkeys(execution.layers, 3),
        fitted_overflows=dict.fromkeys(execution.layers, 2),
        predictions={"PTQ": labels, "fitted": labels, "QAT": labels, "RTL": labels[:RTL_IMAGES]},
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
    assert result["curve"] == "codes" and len(result["accuracy_by_width"]) == 2
    assert result["accuracy_by_width"][1] == {
        "weight_bits": 2, "activation_bits": 3, "accumulator_bits": 16,
        "ptq": 0.125, "fitted": 0.375, "adaround": 0.25, "qat": 0.5, "qat_epochs": 5,
    }  # fmt: skip
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
    assert [rows[name][-1] for name in ("float", "PTQ", "PTQ+", "QAT", "emulator", "machine", "RTL")] == [
        f"{number}.0" for number in range(7)
    ]
    assert rows["float"][1] == "90.0 %" and rows["PTQ"][1] == "25.0 %" and rows["PTQ+"][1] == "77.5 %"
    assert rows["emulator"][3] == "0 (torch)" and rows["RTL"][3] == "0 (machine)"
    assert rows["machine"][2] == rows["RTL"][2] == str(RTL_IMAGES)
    assert [row[0] for row in layer_table(demo).rows] == ["conv", "pool", "flatten", "fc"]


def test_a_wide_accumulator_is_called_so(demo: Demo) -> None:
    assert "PTQ reaches 25.0 %" in remarks(demo)[0] and "QAT 87.5 %: 10.0 points more than the best" in remarks(demo)[0]
    level = replace(demo, qat_accuracy=0.775)
    assert "QAT 77.5 %: equal to the best of them" in remarks(level)[0]
    assert "0.5 points less than" in remarks(replace(demo, qat_accuracy=0.77))[0]
    wide = replace(demo, ptq_overflows=dict.fromkeys(demo.ptq_overflows, 0))
    assert not any("wide" in sentence for sentence in remarks(demo))
    assert "wide" in remarks(wide)[1]


def test_report_is_one_file_that_loads_nothing(demo: Demo) -> None:
    page = report_html(demo)
    assert "http" not in page
    assert not re.search(r"<(script|link|iframe|object|embed)\b|@import|url\((?!#)", page)
    references = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert references and all(reference.startswith(("#", "data:", "model.onnx")) for reference in references)
    assert page.count("<svg") == page.count("</svg>") == 3
    assert "RTL &lt;Verilator&gt;" in page and "RTL <Verilator>" not in page
    assert "accumulator_bits" in page and "$" not in page


def test_report_links_the_model_and_says_where_its_figures_come_from(demo: Demo) -> None:
    page = report_html(demo, "the <model>.onnx")
    assert 'href="the &lt;model&gt;.onnx"' in page
    for row in ("processor", "commit"):
        assert re.search(rf"<td[^>]*>{row}</td><td[^>]*>[^<]+</td>", page), row


def test_figures_have_texts_with_their_values(demo: Demo) -> None:
    texts = re.findall(r'<svg role="img" aria-label="([^"]*)"', report_html(demo))
    assert len(texts) == 3
    accuracy, digits, overflows = texts
    assert "with the 16-bit saturating accumulator. 8 / 8 bits: PTQ (min-max) 75 %," in accuracy
    assert "2 / 3 bits: PTQ (min-max) 87.5 %, PTQ, fitted 62.5 %, PTQ+ (AdaRound) 75 %, QAT 50 %" in accuracy
    assert "This accelerator has 8 / 8 bits. The float network: 10 %." in accuracy
    assert digits.count("RTL") == digits.count("fitted") == len(set(demo.test_labels[:RTL_IMAGES]))
    assert "fitted: conv 0." in overflows


def test_a_curve_of_accumulators(demo: Demo) -> None:
    own = demo.points[0]
    wide = replace(own, arithmetic=replace(own.arithmetic, accumulator_bits=22), ptq=0.5)
    page = report_html(replace(demo, curve="accumulator", points=(wide, own)))
    assert "Test error against bits of the accumulator, with 8-bit weights and 8-bit activations. 22 bits:" in page
    assert "; 16 bits: PTQ (min-max) 75 %" in page and "This accelerator has 16 bits." in page


def test_report_is_the_same_every_time(demo: Demo) -> None:
    assert report_html(demo) == report_html(demo)


def test_default_accumulator_is_narrow_and_saturating() -> None:
    from codesign.demo import CONFIG

    assert (CONFIG.rows, CONFIG.columns) == (8, 8)
    assert CONFIG.arithmetic == Arithmetic(accumulator_bits=8, weight_bits=2, activation_bits=3, overflow="saturate")
