"""Registers whose choice moves into their clocked process, and those where that would change what the Verilog does."""

from __future__ import annotations

import pytest

from rtl.verilog.registers import clock_choices, repeat_bits

HELD = """module a(clk, load, code, q);
  reg [7:0] _11_;
  reg [7:0] q = 8'h00;
  always @(posedge clk)
    q <= _11_;
  always @* begin
    if (settle) begin end
    _11_ = q;
    if (load) begin
      _11_ = code;
    end
  end
endmodule
"""
MERGED = """module a(clk, load, code, q);
  reg [7:0] q = 8'h00;
  always @(posedge clk) begin
    if (load) begin
      q <= code;
    end
  end
endmodule
"""


def test_a_register_that_keeps_its_value_is_not_named() -> None:
    assert clock_choices(HELD) == MERGED
    assert clock_choices(HELD.replace("_11_ = q;", "_11_ = sum;")) == MERGED.replace(
        "    if (load)", "    q <= sum;\n    if (load)"
    )


def test_names_are_those_of_one_module() -> None:
    other = HELD.replace("module a", "module b").replace("_11_ = code", "_11_ = _11_ + code")
    assert clock_choices(HELD + other) == MERGED + other


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("endmodule", "  assign copy = _11_;\nendmodule"),  # the choice is read elsewhere
        ("_11_ = code", "_11_ = _11_ + code"),  # … in the process itself
        ("      _11_ = code;", "      _11_ = code;\n      _12_ = code;"),  # the process chooses for two
        ("_11_ = code", "_11_[3:0] = code"),  # a part of it
    ],
)
def test_other_choices_stay(old: str, new: str) -> None:
    text = HELD.replace(old, new, 1)
    assert clock_choices(text) == text


def test_repeated_bits() -> None:
    assert repeat_bits("{ a[7], a[7], a[7], a }") == "{ {3{a[7]}}, a }"
    assert repeat_bits("{ s, s, s, s[2] }") == "{ {3{s}}, s[2] }"
    assert repeat_bits("{ x.s, s, s }, as, s") == "{ x.s, s, s }, as, s"
