#!/usr/bin/env bash
# SCALE-Sim 3.0 has no padding: one enlarges the map by it. But it rounds the number of output rows and columns up, where the
# convolutions of frameworks round down, so ResNet's layers with stride 2 and padding on both sides (3×3 over 32+2, 7×7 over 224+6)
# get a row and a column more than they have: 17×17 for 16×16 is 13 % more multiplications. A map cut to what the windows reach is right.
# Runs without Lockstep; exits non-zero if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.2.6 scalesim==3.0.0
cd "$folder"
cat > layers.csv <<'CSV'
Layer, Height, Width, Kernel height, Kernel width, Channels, Filters, Stride,
conv3x3 of 32 padded by 1, 34, 34, 3, 3, 16, 16, 2,
the same cut to its windows, 33, 33, 3, 3, 16, 16, 2,
conv7x7 of 224 padded by 3, 230, 230, 7, 7, 3, 64, 2,
CSV
cat > run.py <<'PYTHON'
from importlib.metadata import version

from scalesim.topology_utils import topologies

print("scalesim", version("scalesim"))
topology = topologies()
topology.load_arrays("layers.csv")
topology.topo_calc_hyperparams("layers.csv")
counted = {}
for index, (name, height, width, kernel, _, _, _, stride, _) in enumerate(
    entry[:9] for entry in topology.topo_arrays
):
    rows, columns, multiplications, _ = topology.layers_calculated_hyperparams[index]
    counted[name] = rows, columns
    right = (height - kernel) // stride + 1
    print(f"{name}: {rows}x{columns} outputs, {multiplications} multiplications; it has {right}x{right}")
assert list(counted.values()) == [(17, 17), (16, 16), (113, 113)], "rounded up"
PYTHON
venv/bin/python run.py
