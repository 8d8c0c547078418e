"""The arguments that several commands of ``lockstep`` have."""

from __future__ import annotations

import importlib.metadata
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from .commands import SAMPLES


class Simulator(StrEnum):
    """Where the RTL is simulated."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


def samples_option(command: str) -> OptionInfo:
    """``--samples`` of that command."""
    random = SAMPLES[command]
    help_text = f"Only the first N inputs, or N random ones. Default: all inputs, or {random} random ones."
    return typer.Option(min=1, metavar="N", help=help_text)


def data_set(holds: str) -> OptionInfo:
    """An option for the folder of a data set."""
    return typer.Option(metavar="FOLDER", help=f"qat: also train on {holds} in this folder (docs/datasets.md).")


def show_version(asked: bool) -> None:
    """Print the version and exit, where that is asked for."""
    if asked:
        typer.echo(f"lockstep {importlib.metadata.version('lockstep')}")
        raise typer.Exit


Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks; before or after the command.")]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write the result as JSON; - for standard output, and nothing else there."
    ),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A quantized model: an ONNX or a TFLite file.")]
ArithmeticOption = Annotated[
    str | None,
    typer.Option(
        "--arithmetic",
        metavar="tflm|default|FILE.toml",
        help="Whose bits count: those of TensorFlow Lite for Microcontrollers, the default, or those of a file's "
        "[arithmetic]. Default: the config's, or the model's own.",
    ),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option("--outputs", metavar="NAME", help="Cut the model at this tensor of the file. Repeatable."),
]
Inputs = Annotated[
    Path | None,
    typer.Option(metavar="X.npz", help="The model's inputs, batch axis first, floats or codes. Default: random codes."),
]
Config = Annotated[
    Path | None, typer.Option(metavar="C.toml", help="The accelerator. Default: 8×8 with the model's own arithmetic.")
]
Override = Annotated[
    bool,
    typer.Option("--override", help="Take the arithmetic that is given even where the model was made for another."),
]
SimulatorOption = Annotated[Simulator, typer.Option("--simulator", help="Verilator or Icarus Verilog.")]
