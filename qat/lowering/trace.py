"""Capture a model's graph with torch.export, and say where in the user's source a node comes from."""

from __future__ import annotations

import copy
import inspect
import io
import linecache
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import tree_map

from ..surroundings import check_data, own
from .attention_modules import batch_first

TORCH = Path(torch.__file__).parent
STANDARD_LIBRARY = Path(inspect.__file__).parent
SHAPES = logging.getLogger("torch.fx.experimental.symbolic_shapes")
VIOLATED = "Constraints violated"  # how torch begins its words about a batch size that became a constant
FIXED_BATCH = (
    "its code must not depend on the batch size: where the batch is, write x.size(0), as in x.view(x.size(0), -1), or "
    "flatten(1)"
)


def trace(model: nn.Module, example_inputs: Tensor | Sequence[Tensor]) -> tuple[nn.Module, ExportedProgram]:
    """A copy of `model`, and its graph in eval mode for any batch size.

    example_inputs : the model's arguments, float or integer tensors with the batch on axis 0; one of them may stand
    alone

    Raises ``TypeError`` or ``ValueError`` where that is not so, or where torch.export cannot capture the model.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ValueError(f"model must be in float32, not {tensor.dtype} as its tensor {name!r}")
    examples = check_examples(example_inputs)
    check_data(model, examples)
    owner = _copied(model)
    modes = [(module, module.training) for module in owner.modules()]
    owner.eval()
    # torch.export takes a batch of 1 for a constant.
    floats = (own(x).float() if x.is_floating_point() else own(x) for x in examples)
    batches = tuple(x.expand(2, *x.shape[1:]) if len(x) == 1 else x for x in floats)
    try:
        with _quiet(), batch_first():
            program = _exported(owner, batches)
    except Exception as error:  # torch.export raises many kinds, also its internal ones
        reason = _reason(error)
        violated = str(error).startswith(VIOLATED)
        place = _place_of_batch(owner, batches) if violated else place_of(_frames_of(error), owner)
        raise ValueError(f"model must be traceable by torch.export for any batch size: {reason}{place}") from error
    for module, training in modes:
        module.training = training
    return owner, program


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"model must be one that copy.deepcopy copies: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says about its own ways to compute the model, and the graph that it prints behind an error."""
    loggers = SHAPES, logging.getLogger("torch._subclasses.fake_tensor")
    kept = [(logger, logger.level, logger.propagate) for logger in loggers]
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, level, propagate in kept:
                logger.setLevel(level)
                logger.propagate = propagate


Frame = tuple[FrameType, int]


def _reason(error: Exception) -> str:
    """What went wrong and what to do, in our words where torch's say little."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if text.startswith(VIOLATED) or re.search(r"invalid for input of size .*s\d+", text):
        return FIXED_BATCH
    if "data-dependent" in text:
        return "its code must not branch on values of tensors, or compute numbers of them: choose with torch.where"
    if ".numpy()" in text or "numpy" in text.lower():
        return f"its code must stay in torch, not go through NumPy: write it with torch's functions ({text})"
    return text


def _exported(owner: nn.Module, batches: tuple[Tensor, ...]) -> ExportedProgram:
    arguments = inspect.signature(owner.forward).bind(*batches).arguments
    shapes = tree_map(lambda _: {0: Dim.DYNAMIC}, arguments)
    return torch.export.export(owner, batches, dynamic_shapes=shapes, strict=False)


def _place_of_batch(owner: nn.Module, batches: tuple[Tensor, ...]) -> str:
    """Where a model's code makes a constant of the batch size, for which it is captured once more."""
    places = _Places(owner)
    with _quiet(), places, suppress(Exception):
        _exported(owner, batches)
    return places.found


class _Places:
    """While a model is captured, notes where its code makes a constant of the batch size; torch logs when, not "
    "where."""

    def __init__(self, owner: nn.Module) -> None:
        self.owner, self.found = owner, ""
        self.handler = logging.Handler(logging.DEBUG)
        self.handler.emit = self.note  # type: ignore[method-assign]

    def note(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if not self.found and "set_replacement" in message and re.search(r" = \d+ ", message):
            self.found = place_of(list(traceback.walk_stack(sys._getframe()))[::-1], self.owner)

    def __enter__(self) -> None:
        self.others, SHAPES.handlers = SHAPES.handlers, [self.handler]
        SHAPES.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        SHAPES.handlers = self.others


def _frames_of(error: Exception) -> list[Frame]:
    """The calls that led to an error, outermost first."""
    return list(traceback.walk_tb(error.__traceback__))


def place_of(frames: Sequence[Frame], owner: nn.Module) -> str:
    """`` (module 'head' Head, model.py, line 12: `if x.sum() > 0:`)``: the innermost module, and line of the user's."""
    ours, parts = Path(__file__).parents[1], []
    names = {module: name for name, module in owner.named_modules() if name}
    for frame, _ in reversed(frames):
        module = _receiver(frame)
        if isinstance(module, nn.Module) and module in names:
            parts.append(f"module {names[module]!r} {type(module).__name__}")
            break
    for frame, line in reversed(frames):
        file = frame.f_code.co_filename
        outside = not any(Path(file).is_relative_to(folder) for folder in (TORCH, ours, STANDARD_LIBRARY))
        if outside and not file.startswith("<") and _belongs(frame, owner):
            parts.append(f"{file}, line {line}: `{linecache.getline(file, line).strip()}`")
            break
    return f" ({', '.join(parts)})" if parts else ""


def _receiver(frame: FrameType) -> object:
    """The first argument of the call, a method's own object, whatever its author calls it."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def _belongs(frame: FrameType | None, owner: nn.Module) -> bool:
    """Whether the frame was called, by whatever way, from the forward of the model."""
    while frame is not None:
        if _receiver(frame) is owner and frame.f_code.co_name == "forward":
            return True
        frame = frame.f_back
    return False


def check_examples(example_inputs: object) -> tuple[Tensor, ...]:
    """The tensors in `example_inputs`, one for each argument of the model."""
    examples = tuple(example_inputs) if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    if not examples:
        raise ValueError("example_inputs must hold at least one tensor, not none")
    for index, x in enumerate(examples):
        what = "example_inputs" if len(examples) == 1 else f"example_inputs[{index}]"
        if not isinstance(x, Tensor) or x.is_complex():
            found = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{what} must be a float or an integer tensor, not {found}")
        ranks = (2, 3, 4) if x.is_floating_point() else range(1, 5)
        if x.ndim not in ranks or x.numel() == 0:
            raise ValueError(
                f"{what} must have shape (batch, channels, height, width), (batch, channels, length) or "
                f"(batch, length), not {tuple(x.shape)}"
            )
    if len({x.shape[0] for x in examples}) > 1:
        raise ValueError(f"example_inputs must have one batch size, not {[x.shape[0] for x in examples]}")
    return examples


def module_path(node: fx.Node) -> str:
    """Qualified name of the module whose forward made the node; empty for the model's own."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    # A module that is called twice has "@1" behind its name the second time.
    return stack[-1][0].partition("@")[0] if stack else ""


def describe(node: fx.Node) -> str:
    """``node 'pool' (module 'pool' MaxPool2d, aten.max_pool2d.default, model.py, line 12: `x = self.pool(x)`)``.

    As far as it is known; the line is the innermost one outside torch itself, and none in a model of torch's modules.
    """
    path, stack = module_path(node), list(node.meta.get("nn_module_stack", {}).values())
    kind = str(stack[-1][1]).rpartition(".")[2] if stack else ""
    parts = [f"module {path!r} {kind}", str(node.target)] if path else [str(node.target)]
    lines = [line.strip() for line in str(node.meta.get("stack_trace") or "").splitlines() if line.strip()]
    for index in range(len(lines) - 1, -1, -1):
        found = re.match(r'File "(.*)", line (\d+)', lines[index])
        if found and not Path(found[1]).is_relative_to(TORCH):
            code = f": `{lines[index + 1]}`" if index + 1 < len(lines) else ""
            parts.append(f"{found[1]}, line {found[2]}{code}")
            break
    return f"node {layer_name(node)!r} ({', '.join(parts)})"


def layer_name(node: fx.Node) -> str:
    """The name of the module that computes the node, or the node's own for a function in a larger module's forward."""
    path = module_path(node)
    stack = list(node.meta.get("nn_module_stack", {}).values())
    kind = str(stack[-1][1]) if stack else ""
    return path if path and kind.startswith("torch.nn.modules.") and ".container." not in kind else node.name
