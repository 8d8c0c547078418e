#!/usr/bin/env bash
# SCALE-Sim 3.0's `Bandwidth` (mode USER) is the bandwidth of the writes alone, and of three values of it the last two count for
# nothing: operands are fetched at `IfmapSRAMBankBandwidth` and `FilterSRAMBankBandwidth` of the section [layout], also where
# `IfmapCustomLayout` and `FilterCustomLayout` are False. And outputs that go to the external memory at a sixteenth of the speed
# change nothing in `Total Cycles`, but in the column "incl. prefetch". Runs without Lockstep; exits non-zero if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 scalesim==3.0.0
cd "$folder"
cat > run.py <<'PYTHON'
import csv
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
from scalesim.scale_sim import scalesim

print("scalesim", version("scalesim"))
CONFIG = """[general]
run_name = {name}
[architecture_presets]
ArrayHeight: 16
ArrayWidth: 16
ifmapsramszkB: 64
filtersramszkB: 64
ofmapsramszkB: 64
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: {bandwidth}
Dataflow: ws
ReadRequestBuffer: 60
WriteRequestBuffer: 60
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: {bank}
IfmapSRAMBankNum: 1
IfmapSRAMBankPort: 1
FilterCustomLayout: False
FilterSRAMBankBandwidth: {bank}
FilterSRAMBankNum: 1
FilterSRAMBankPort: 1
[sparsity]
SparsitySupport: false
[run_presets]
InterfaceBandwidth: USER
UseRamulatorTrace: False
"""
with open("layers.csv", "w") as file:
    file.write("Layer, Height, Width, Kernel, Kernel, Channels, Filters, Stride,\nlayer, 18, 18, 3, 3, 16, 16, 1,\n")
with open("layout.csv", "w") as file:
    file.write("Layer,\nlayer, " + "1, " * 20 + "\n")


def simulate(bandwidth, bank):
    name = f"b{bandwidth.replace(',', '_')}x{bank}"
    with open(f"{name}.cfg", "w") as file:
        file.write(CONFIG.format(name=name, bandwidth=bandwidth, bank=bank))
    simulation = scalesim(
        save_disk_space=True, verbose=False, config=f"{name}.cfg", topology="layers.csv", layout="layout.csv"
    )
    simulation.run_scale(top_path=".")
    found = {}
    for report in ("COMPUTE_REPORT", "DETAILED_ACCESS_REPORT"):
        with open(f"{name}/{report}.csv") as file:
            header, values = [[cell.strip() for cell in line] for line in csv.reader(file)]
        found |= dict(zip(header, values))
    reads = -min(float(found[f"DRAM {what} Start Cycle"]) for what in ("IFMAP", "Filter"))
    writes = float(found["DRAM OFMAP Stop Cycle"]) - float(found["DRAM OFMAP Start Cycle"])
    cycles = [int(found[column]) for column in ("Total Cycles", "Total Cycles (incl. prefetch)")]
    print(f"Bandwidth {bandwidth:8} banks' {bank:2}: reads {reads:6.0f}, writes {writes:6.0f}, cycles {cycles}")
    return reads, writes, cycles[0]


base = simulate("16", 16)
narrow = simulate("1", 16)
three = simulate("16,1,1", 16)
banks = simulate("16", 1)
assert narrow[0] == base[0] and narrow[1] > 4 * base[1], "Bandwidth counts for the writes alone"
assert three == base, "its second and third value count for nothing"
assert banks[0] == 16 * base[0] and banks[1] == base[1], "the banks' bandwidth counts for the reads"
assert base[2] == narrow[2], "Total Cycles does not see the writes' bandwidth"
PYTHON
PYTHONWARNINGS=ignore venv/bin/python run.py
