"""What the terminal says of numbers that are not exact: the page's marks."""

from __future__ import annotations

from codesign.commands.study import marked, marks
from codesign.study.value import Value


def test_numbers_have_the_pages_marks() -> None:
    found = [marked(number, kind) for number, kind in ((810358, "exact"), (18362, "estimate"), (104.37, "model"))]
    assert found == ["810\u202f358", "≈18\u202f362", "104.4 *"]
    assert marked(None) is None


def test_the_line_below_tells_the_worst_error() -> None:
    exact, model, fits = Value(1), Value(1, "model"), Value(1, "estimate")
    luts = [Value(1, "estimate", error) for error in (0.027, 0.03, None)]
    assert marks([exact]) == []
    assert marks([exact, model]) == ["* is a model: exact counts times constants; all others are exact"]
    assert marks([fits]) == ["≈ is an estimate; all others are exact"]
    assert marks([*luts, model, fits]) == [
        "≈ is an estimate, off by up to 3.0 %; * is a model: exact counts times constants; all others are exact"
    ]
