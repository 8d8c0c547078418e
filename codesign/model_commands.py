"""The commands of ``lockstep`` that are about a model file: their arguments, and which module does the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli import FAILS, HOLDS
from .files import check_apart
from .options import (
    ArithmeticOption,
    Config,
    Debug,
    Inputs,
    Json,
    Model,
    Outputs,
    Override,
    Simulator,
    SimulatorOption,
    samples_option,
)

if TYPE_CHECKING:
    from .execution.model import ModelChoice

models = typer.Typer()


@models.command("compile")
def compile_command(
    model: Model,
    config: Annotated[Path, typer.Option(metavar="C.toml", help="The accelerator.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder; one that is there is replaced.")
    ],
    base: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Bus address of the memory region, a multiple of 4096.")
    ] = "0x0",
    arithmetic: ArithmeticOption = None,
    override: Override = False,
    outputs: Outputs = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Write program, memory image, register sequence and memory map for an integrator."""
    from .commands.compile import run

    try:
        address = int(base, 0)
    except ValueError:
        raise ValueError(f"--base must be a number such as 0x80000000, not {base!r}") from None
    chosen = _chosen(model, config, arithmetic, override, outputs, written=(json,))
    return _status(run(chosen, output, address, json))


@models.command("run")
def run_command(
    model: Model,
    inputs: Inputs = None,
    config: Config = None,
    samples: Annotated[int | None, samples_option("run")] = None,
    arithmetic: ArithmeticOption = None,
    override: Override = False,
    outputs: Outputs = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.npz", help="Write the model's outputs.")
    ] = None,
    timeline: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.json|png|svg",
            help="Write when each unit executed what: a trace for Perfetto, or a picture. Repeatable.",
        ),
    ] = None,
    energy: Annotated[
        bool, typer.Option("--energy", help="Show a sample's energy by layer and memory: a model.")
    ] = False,
    energy_table: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="The same with your energies (docs/energy.md).")
    ] = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Run a model in the emulator; with --config, --timeline or --energy also in the machine, cycle by cycle."""
    from .commands.run import run
    from .energy import load_energy_table

    written, read = (output, *(timeline or ()), json), (inputs, energy_table)
    chosen = _chosen(model, config, arithmetic, override, outputs, written, read)
    energies = load_energy_table(energy_table) if energy or energy_table is not None else None
    return _status(run(chosen, inputs, samples, output, timeline or [], json, energies))


@models.command()
def simulate(
    model: Model,
    inputs: Inputs = None,
    config: Config = None,
    samples: Annotated[int | None, samples_option("simulate")] = None,
    simulator: SimulatorOption = Simulator.VERILATOR,
    trace: Annotated[Path | None, typer.Option(metavar="FILE.fst|vcd", help="Write a waveform of the run.")] = None,
    arithmetic: ArithmeticOption = None,
    override: Override = False,
    outputs: Outputs = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Run a model in the simulated RTL and compare codes, counters, memory and cycles with the machine's."""
    from .commands.simulate import run

    chosen = _chosen(model, config, arithmetic, override, outputs, (trace, json), (inputs,))
    return _status(run(chosen, inputs, samples, simulator, trace, json))


@models.command()
def validate(
    model: Model,
    inputs: Inputs = None,
    config: Config = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="onnxruntime|litert|tflm",
            help="The runtime to compare with. Default: onnxruntime for an ONNX file, tflm for a TFLite file.",
        ),
    ] = None,
    rtl: Annotated[int, typer.Option(min=0, metavar="N", help="Also run the first N inputs in the simulated RTL.")] = 0,
    samples: Annotated[int | None, samples_option("validate")] = None,
    simulator: SimulatorOption = Simulator.VERILATOR,
    arithmetic: ArithmeticOption = None,
    override: Override = False,
    outputs: Outputs = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Compare the emulator with another runtime of the same file: layer by layer on equal inputs, and end to end."""
    from .commands.validate import run

    chosen = _chosen(model, config, arithmetic, override, outputs, (json,), (inputs,))
    return _status(run(chosen, inputs, against, rtl, samples, simulator, json))


@models.command()
def diverge(
    model: Model,
    a: Annotated[
        str, typer.Argument(metavar="[A", help="One of emulator, machine, rtl, onnxruntime, tflm.")
    ] = "machine",
    b: Annotated[str, typer.Argument(metavar="B]", help="Another one.")] = "rtl",
    inputs: Inputs = None,
    config: Config = None,
    samples: Annotated[int | None, samples_option("diverge")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.html|md", help="Write one page with all that is known."),
    ] = None,
    simulator: SimulatorOption = Simulator.VERILATOR,
    arithmetic: ArithmeticOption = None,
    override: Override = False,
    outputs: Outputs = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Find the first layer and element at which two implementations differ; of machine and RTL, the first cycle too."""
    from .commands.diverge import run

    chosen = _chosen(model, config, arithmetic, override, outputs, (output, json), (inputs,))
    return _status(run(chosen, (a, b), inputs, samples, simulator, output, json))


@models.command()
def certify(
    model: Model,
    arithmetic: ArithmeticOption = None,
    override: Override = False,
    outputs: Outputs = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """State the worst case of every layer's sums and the smallest accumulator that never overflows.

    The exit status is 1 if an input may overflow the model's own accumulator.
    """
    from .commands.certify import run

    return _status(run(_chosen(model, None, arithmetic, override, outputs, (json,)), json))


def _chosen(
    model: Path,
    config: Path | None,
    arithmetic: str | None,
    override: bool,
    outputs: list[str] | None,
    written: Sequence[str | Path | None],
    read: Sequence[Path | None] = (),
) -> ModelChoice:
    """What the command is about; `written`: the files that it makes, `read`: those that it reads beside the model's."""
    from .execution.model import ModelChoice

    check_apart(written, (model, config, arithmetic, *read))
    return ModelChoice(model, config, arithmetic, override, tuple(outputs or ()))


def _status(holds: bool) -> int:
    return HOLDS if holds else FAILS
