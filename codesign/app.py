"""The command line ``lockstep``: its commands, their arguments, and which module does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli import FAILS, HOLDS
from .files import check_apart
from .model_commands import models
from .options import Debug, Json, data_set, show_version

app = typer.Typer(
    help="Train, predict and execute a quantized network in lockstep: PyTorch, NumPy and RTL give the same bits.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def lockstep(
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What holds for all commands."""


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where model.onnx and report.html go.")
    ] = Path("lockstep-demo"),
    config: Annotated[
        Path | None,
        typer.Option(metavar="C.toml", help="The accelerator. Default: 8×8, codes of 2 bits, an accumulator of 8."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="So many of the 1000 test images through machine and RTL. Default: 100."),
    ] = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Train on handwritten digits, export, emulate and simulate the RTL; print a table and write a report."""
    from .commands.demo import run

    check_apart((json,), (config,))
    return _status(run(output, config, images, json))


@app.command()
def verilog(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The accelerator.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.v", help="The Verilog file.")],
    prefix: Annotated[
        str, typer.Option(metavar="NAME_", help="In front of all module names, for several accelerators in a design.")
    ] = "",
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Write the accelerator as one Verilog file; its top module is `accelerator`."""
    from .commands.verilog import run

    check_apart((output, json), (config,))
    return _status(run(config, output, prefix, json))


@app.command()
def synthesize(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The accelerator.")],
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, max=(1 << 31) - 1, metavar="N", help="Of the placer; repeatable. Default: 1 2 3."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Keep Verilog, netlist, reports and logs.")
    ] = None,
    area_only: Annotated[bool, typer.Option("--area-only", help="Yosys alone: no placement and no clock.")] = False,
    liberty: Annotated[
        Path | None,
        typer.Option(metavar="FILE.lib", help="Area and delay in these standard cells, not on an ECP5."),
    ] = None,
    bit_area: Annotated[
        float | None,
        typer.Option(min=0, metavar="AREA", help="--liberty: what a bit of memory takes, to estimate memories."),
    ] = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Area and clock on an ECP5-85, speed grade 6, from Yosys and nextpnr; or area in standard cells; some minutes."""
    from .commands.synthesize import run

    check_apart((json,), (config, liberty))
    return _status(run(config, seed, output, json, area_only=area_only, liberty=liberty, bit_area=bit_area))


@app.command()
def study(
    name: Annotated[str, typer.Argument(metavar="STUDY.toml|NAME", help="A study's file, or a built-in study's name.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where all of it goes; what is there is not redone."),
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes. Default: as many as processors.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster, whose processes do the work instead.")
    ] = None,
    point: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Only compute point N anew, alone, and compare it with FOLDER's."),
    ] = None,
    rtl: Annotated[bool, typer.Option("--rtl", help="--point: run it in Verilator too.")] = False,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """A co-design sweep with a Pareto front and a page; run it again to go on with it."""
    check_apart((json,), (name,))
    if point is not None:
        if workers is not None or ray is not None:
            raise ValueError("--point computes in this process; leave out --workers and --ray")
        from .commands.study_point import run as compare

        return _status(compare(name, output, point, rtl, json))
    if rtl:
        raise ValueError("--rtl needs --point N")
    from .commands.study import run

    return run(name, output, workers, ray, json)


app.add_typer(models)


@app.command()
def benchmark(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which ones; all if none is given.")] = None,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="utilization, transformers, frontdoor: run in Verilator too.")
    ] = False,
    mnist: Annotated[Path | None, data_set("MNIST's four files")] = None,
    cifar10: Annotated[Path | None, data_set("CIFAR-10's binary version")] = None,
    speech_commands: Annotated[Path | None, data_set("Speech Commands")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png|svg",
            help="qat: accuracy against accumulator width. study: cycles by other tools against the machine's.",
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="frontdoor: files of quantizers, as its generator writes them."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="frontdoor, study: small graphs in onnx/, MLPerf Tiny's in tflite/."),
    ] = None,
    json: Json = None,
    debug: Debug = False,
) -> int:
    """Measure the README's figures on this machine; no row may miss its target.

    - emulator: the exact integer product's time and memory, as ratios to NumPy's (a minute)

    - utilization: how busy the array is, layer by layer and in whole networks (a minute)

    - simulation: a ResNet-50 image in Verilator, and its cycles per second (some minutes)

    - transformers: attention's products on the array, and how exact softmax and norms are (half a minute)

    - qat: a training step's time and memory, accuracy, and how narrow the accumulator can be (a quarter of an hour)

    - frontdoor: files of other quantizers, MLPerf Tiny's, and damaged ones (a quarter of an hour)

    - study: predicted areas, cycles by SCALE-Sim and Vela against the exact machine's and the RTL's, points per
      minute, and whether results depend on who computes them (a quarter of an hour)

    - area: LUTs and flip-flops as predicted against as synthesized, on the syntheses that ship (seconds)
    - synthesis: LUTs and clock of the shipped configs on an ECP5-85F, and what shared lanes cost (half an hour)
    """
    from .commands.benchmark import run

    qat = {"mnist": mnist, "cifar10": cifar10, "speech_commands": speech_commands, "plot": plot}
    frontdoor = {"models": models, "cases": cases}
    simulated = {"rtl": rtl or None}
    study = {"plot": plot, "cases": cases}
    every = {
        "utilization": simulated,
        "transformers": simulated,
        "qat": qat,
        "frontdoor": frontdoor | simulated,
        "study": study,
    }
    options = {name: {key: value for key, value in given.items() if value is not None} for name, given in every.items()}
    check_apart((plot, json))
    return _status(run(names or [], options, json))


def _status(holds: bool) -> int:
    return HOLDS if holds else FAILS
