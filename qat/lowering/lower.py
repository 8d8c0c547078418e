"""From torch.export's graph to the layers of a prepared model: one handler per operator, then fusing."""

from __future__ import annotations

import operator

from torch import Tensor, fx
from torch.export import ExportedProgram

from emulator import Arithmetic

from ..host import Host
from ..results import Results
from ..scales.settings import Settings
from . import operators, regroup, steps
from .advice import way_out
from .arguments import Arguments
from .context import Lowering, symbols
from .fuse import fuse
from .made import Regrouped, Steps
from .registry import HANDLERS, READERS_OF_STEPS
from .trace import describe

assert operators.__all__  # imported, its handlers have registered themselves


def lower(program: ExportedProgram, arithmetic: Arithmetic, settings: Settings) -> tuple[Lowering, Host, Results]:
    """The layers of one exported program, what the host computes before them, and what the model returns of them.

    Raises ``ValueError`` naming the node, the line of the user's source, and what to do, where a layer cannot be made.
    """
    lowering = Lowering(program, arithmetic, settings)
    for node in program.graph.nodes:
        try:
            _lower(lowering, node)
        except ValueError as error:
            raise ValueError(f"{describe(node)}: {error}") from None
    fuse(lowering)
    lowering.drop_inputs()
    return lowering, lowering.builder.build(lowering.inputs), Results(lowering.outputs, lowering.structure)


def _lower(lowering: Lowering, node: fx.Node) -> None:
    if node.op == "placeholder":
        return
    if node.op == "output":
        for name, result in zip(lowering.outputs, node.args[0], strict=True):  # type: ignore[arg-type]
            if not isinstance(result, fx.Node):
                raise ValueError(
                    f"the model must return tensors that its layers make, not {result!r}: return it from a "
                    "function around the model"
                )
            try:
                lowering.outputs[name] = lowering.source(result)
            except ValueError as error:
                raise ValueError(f"{describe(result)}: {error}") from None
    elif lowering.builder.computes(node) or node in lowering.constants:
        return
    elif node.target is operator.getitem:
        lowering.pick(node)
    elif isinstance(node.meta.get("val"), (Tensor, tuple, list)):
        _operator(lowering, node)
        _check_batch(lowering, node)
        if str(node.target).split(".")[1].endswith("_"):
            lowering.overwrite(node)


def _operator(lowering: Lowering, node: fx.Node) -> None:
    kind, arguments = str(node.target).replace("_.", "."), Arguments(node)
    if kind not in HANDLERS:
        raise ValueError(f"this operator is not supported: {way_out(kind)}")
    operand = node.args[0]
    made = lowering.made(operand) if isinstance(operand, fx.Node) and lowering.has(operand) else None
    if isinstance(made, Steps) and kind not in READERS_OF_STEPS:
        if steps.handled(lowering, node, kind, made, arguments):
            return
        lowering.source(operand)  # where the batch must be first
    if isinstance(made, Regrouped) and regroup.handled(lowering, node, kind, made, arguments):
        return
    HANDLERS[kind](lowering, node, arguments)


def _check_batch(lowering: Lowering, node: fx.Node) -> None:
    """Refuse results of which an axis is a part of the batch, or the batch and more."""
    values = node.meta["val"]
    for value in values if isinstance(values, (tuple, list)) else (values,):
        if isinstance(value, Tensor) and not symbols(value) <= lowering.batches:
            raise ValueError(
                f"the batch must stay a whole axis, which it is not in {tuple(value.shape)}: keep it as axis 0, "
                "and reshape the others"
            )
