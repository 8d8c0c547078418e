"""What README, docs/performance.md and the notebook say of the built-in study `ecp5_arrays`, made again in place.

``python tools/study_figures.py FOLDER`` runs the study (FOLDER keeps it), executes the notebook, whose assertions are
its conclusions, writes README's front, and synthesizes the two accelerators of the page's table: six minutes of
processor time. What a person has to read then are the sentences around them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from codesign.study.result import PointResult
from codesign.study.result_file import read_result
from codesign.synthesis.measure import measure

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "which_array_for_mlperf_tiny.ipynb"
WIDTH = 100
FRONT = re.compile(r"```\nWhich array for MLPerf Tiny on an ECP5-85F\?: the front\n.*?```", re.DOTALL)
TABLE = re.compile(r"(?<=### An array for MLPerf Tiny\n)(.*?)\n\|.*?(?=\n\n)", re.DOTALL)
ARRAYS = ("8×8 packed", "16×8 packed")
LIKE = {"lanes": "all, 3 taps", "dataflow": "weight_stationary", "bus_bytes": 8, "memory": "56 KiB"}


def main(folder: Path) -> None:
    """Make all of them again."""
    command = [Path(sys.executable).with_name("lockstep"), "study", "ecp5_arrays", "-o", str(folder)]
    made = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"COLUMNS": str(WIDTH)}, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = [line.rstrip() for line in made.stdout.splitlines()]
    front = "\n".join(lines[: 1 + next(index for index, line in enumerate(lines) if line.startswith("≈"))])
    replace(ROOT / "README.md", FRONT, f"```\n{front}\n```")
    points = {point.point.choices["array"]: point for point in read_result(folder).points if like(point)}
    rows = table([points[array] for array in ARRAYS], folder / "syntheses")
    replace(ROOT / "docs" / "performance.md", TABLE, "\n".join([r"\1", *rows]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=3600, record_timing=False, resources={"metadata": {"path": str(ROOT)}}).execute()
    for cell in notebook.cells:  # without what it says while it builds a simulator
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, NOTEBOOK)


def like(point: PointResult) -> bool:
    """Whether a point is one of those that the table compares."""
    return all(point.point.choices[name] == label for name, label in LIKE.items())


def table(points: list[PointResult], folder: Path) -> list[str]:
    """The page's table, a column for each point; `folder` keeps their syntheses."""
    folder.mkdir(exist_ok=True)
    syntheses = [measure(point.point.config, folder) for point in points]
    cells = {
        "what": [f"{array} (point {point.index})" for array, point in zip(ARRAYS, points, strict=True)],
        "---": ["---"] * len(points),
        "cycles, four networks": [grouped(point.values["cycles"].number) for point in points],
        "energy (model)": [f"{point.values['energy_uj'].number:.0f} µJ" for point in points],
        "LUTs predicted": [grouped(point.values["luts"].number) for point in points],
        "LUTs, flip-flops synthesized": [
            ", ".join(grouped(one.total(x)) for x in ("LUTs", "FFs")) for one in syntheses
        ],
        "block RAMs of 208, multipliers of 156": [f"{one.block_rams}, {one.dsps}" for one in syntheses],
    }
    return [f"| {' | '.join([name, *row])} |" for name, row in cells.items()]


def grouped(number: float) -> str:
    """With a blank before each three digits."""
    return f"{number:,.0f}".replace(",", " ")


def replace(file: Path, pattern: re.Pattern[str], text: str) -> None:
    """Replace what matches a pattern, which must be there once."""
    changed, count = pattern.subn(text, file.read_text(encoding="utf-8"))
    if count != 1:
        raise SystemExit(f"{file}: {pattern.pattern!r} must be there once, not {count} times")
    file.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tools/study_figures.py FOLDER")
    main(Path(sys.argv[1]))
