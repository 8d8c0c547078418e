"""The sweep over accumulator widths: a tiny one is run, its figures are taken apart by hand, its picture is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from codesign import digits
from codesign.benchmarks.qat_widths import WAYS, Sweep, rows, safe, sweep, write_plot
from codesign.datasets.networks import network
from emulator import Arithmetic


@pytest.fixture(scope="module")
def data() -> digits.Digits:
    whole = digits.load()
    return digits.Digits(whole.train_images[:256], whole.train_labels[:256], whole.test_images, whole.test_labels)


@pytest.fixture(scope="module")
def found(data: digits.Digits) -> Sweep:
    return sweep(data, widths=(32, 12), seeds=(3, 4), float_epochs=6, qat_epochs=2)


def by_hand(ptq: dict[int, float], qat: dict[int, float], unsafe: int = 0) -> Sweep:
    return Sweep(98.0, {"PTQ": ptq, "PTQ fitted": ptq, "QAT": qat, "guaranteed": qat}, 3, unsafe)


def test_a_sweep(data: digits.Digits, found: Sweep) -> None:
    assert set(found.widths) == set(WAYS) and found.seeds == 2 and found.unsafe == 0
    assert all(list(points) == [32, 12] and min(points.values()) > 5 for points in found.widths.values())
    floats = [digits.train_float(data, epochs=6, seed=seed) for seed in (3, 4)]
    correct = [int((model(data.test_images).argmax(1) == data.test_labels).sum()) for model in floats]
    assert found.float_accuracy == pytest.approx(100 * sum(correct) / (2 * 360))
    ptq = [digits.calibrated(model, data, Arithmetic(accumulator_bits=12)) for model in floats]
    correct = [int((model(data.test_images).argmax(1) == data.test_labels).sum()) for model in ptq]
    assert found.widths["PTQ"][12] == pytest.approx(100 * sum(correct) / (2 * 360))
    assert found.widths["PTQ"][32] == found.widths["PTQ fitted"][32] > found.widths["PTQ"][12]
    assert found.widths["QAT"][12] > found.widths["PTQ"][12]


def test_the_certificate_tells_what_is_not_guaranteed(data: digits.Digits) -> None:
    torch.manual_seed(0)
    model, narrow = network("digits8"), Arithmetic(accumulator_bits=12)
    assert not safe(digits.calibrated(model, data, narrow))
    assert safe(digits.train_guaranteed(model, data, narrow, epochs=1))


def test_a_row_for_each_way_and_width(found: Sweep) -> None:
    table = rows(found)
    assert len(table) == 1 + 2 * len(WAYS) + 2
    values = {row["name"]: row["value"] for row in table}
    assert values["digits, 12 bits saturating, PTQ fitted: accuracy"] == round(found.widths["PTQ fitted"][12], 3)
    assert table[-1]["holds"] is True and table[-1]["value"] == 0
    assert rows(by_hand({12: 98.0}, {12: 98.0}, unsafe=1))[-1]["holds"] is False


@pytest.mark.parametrize(
    ("ptq", "qat", "width", "value", "holds"),
    [
        ({32: 98.0, 16: 90.0, 14: 88.0, 12: 10.0}, {32: 98.0, 16: 98.0, 14: 97.0, 12: 50.0}, "14 bits", 1.0, True),
        ({32: 98.0, 16: 60.0, 14: 88.0}, {32: 98.0, 16: 96.5, 14: 98.0}, "16 bits", 1.5, False),
        ({32: 98.0, 12: 88.5}, {32: 98.0, 12: 20.0}, "never", "PTQ never has", None),
    ],
)
def test_the_widest_at_which_ptq_has_lost_ten_points(
    ptq: dict[int, float], qat: dict[int, float], width: str, value: float | str, holds: bool | None
) -> None:
    (merit,) = [row for row in rows(by_hand(ptq, qat)) if row["target"] == "≤ 1"]
    assert merit["value"] == value and merit["holds"] is holds
    assert width in merit["name"] + str(merit["value"])


def test_the_plot(found: Sweep, tmp_path: Path) -> None:
    picture = tmp_path / "widths.png"
    write_plot(picture, found)
    assert picture.read_bytes().startswith(b"\x89PNG")
    drawing = tmp_path / "widths.svg"
    write_plot(drawing, found)
    first = drawing.read_text()
    write_plot(drawing, found)
    assert drawing.read_text() == first and "<svg" in first
    with pytest.raises(ValueError, match=r"must be a file named \*\.png or \*\.svg, not 'widths\.pdf'"):
        write_plot(tmp_path / "widths.pdf", found)
