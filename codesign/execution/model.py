"""Which model, which arithmetic and which accelerator a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path

from compiler import default_config
from compiler import load_model as read_model
from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig, load_config
from emulator.graph import Graph
from emulator.toml import read_toml

NAMED = {"default": Arithmetic, "tflm": Arithmetic.tflm}
"""Name of an arithmetic on the command line → what makes it."""


def choose_arithmetic(chosen: str | None) -> Arithmetic | None:
    """``tflm``, ``default``, or a TOML file with the fields of `Arithmetic`, at the top or under ``[arithmetic]``.

    A config file of an accelerator is such a file. Raises ``ValueError`` naming the choice, or the file and its field.
    """
    if chosen is None:
        return None
    if chosen in NAMED:
        return NAMED[chosen]()
    if not chosen.endswith(".toml"):
        raise ValueError(f"--arithmetic must be {', '.join(NAMED)} or a file named *.toml, not {chosen!r}")
    table = read_toml(Path(chosen))
    known = {field.name for field in fields(Arithmetic)}
    if "arithmetic" in table:
        load_config(chosen)  # the rest of a config is checked too
        table = table["arithmetic"]
    elif not table or not set(table) <= known:
        raise ValueError(f"{chosen}: must have a table [arithmetic], or only its fields: {', '.join(sorted(known))}")
    try:
        return Arithmetic(**table)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{chosen}: {error}") from None


def read_config(
    path: str | PathLike[str] | None, arithmetic: Arithmetic | None = None, override: bool = False
) -> AcceleratorConfig | None:
    """The config of a file (None: none), with `arithmetic` where one is given.

    Raises ``ValueError`` where the file has another arithmetic, unless `override` is set.
    """
    if path is None:
        return None
    config = load_config(path)
    if arithmetic is None or config.arithmetic == arithmetic:
        return config
    if "arithmetic" in read_toml(Path(path)) and not override:
        given, own = arithmetic.as_dict(), config.arithmetic.as_dict()
        conflicts = ", ".join(
            f"{name} {own[name]!r} (given: {given[name]!r})" for name in own if own[name] != given[name]
        )
        raise ValueError(f"{path}: has {conflicts}; --override takes the given arithmetic")
    return replace(config, arithmetic=arithmetic)


def load_model(
    path: str | PathLike[str],
    config: AcceleratorConfig | None = None,
    override: bool = False,
    arithmetic: Arithmetic | None = None,
    outputs: Sequence[str] = (),
) -> tuple[Graph, AcceleratorConfig]:
    """A model and the accelerator that it is for: `config`, or the default shape with what the model needs.

    arithmetic : None takes that of `config`, or the file's own where there is none either
    outputs : names of tensors at which the model is cut, () takes its own outputs
    """
    chosen = arithmetic if config is None else config.arithmetic
    cut = {"outputs": list(outputs)} if outputs else {}
    graph = read_model(path, chosen, override, **cut)
    if config is not None:
        return graph, config
    return graph, default_config(graph)


@dataclass(frozen=True)
class ModelChoice:
    """What a command is asked to take: the options that say which model, which bits and which hardware.

    config, arithmetic, override, outputs : as `read_config`, `choose_arithmetic` and `load_model` take them
    """

    model: Path
    config: Path | None = None
    arithmetic: str | None = None
    override: bool = False
    outputs: tuple[str, ...] = ()

    def load(self) -> tuple[Graph, AcceleratorConfig]:
        """Model and accelerator; raises ``ValueError`` with the option or the file at fault."""
        arithmetic = choose_arithmetic(self.arithmetic)
        config = read_config(self.config, arithmetic, self.override)
        return load_model(self.model, config, self.override, arithmetic, self.outputs)
