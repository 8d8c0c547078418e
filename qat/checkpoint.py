"""Checkpoints: everything that a training needs to go on with the same bits, in one file."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .files import replacing
from .layers.masks import restore_masks
from .model import PreparedModel

FORMAT = "lockstep checkpoint 1"
PARTS = {"format", "progress", "model", "quantization", "training", "optimizer", "scheduler", "random"}


def save_checkpoint(
    path: str | PathLike[str],
    model: nn.Module,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    *,
    progress: int = 0,
    generators: Mapping[str, torch.Generator] | None = None,
) -> None:
    """Write the state of a training, which `load_checkpoint` continues bit for bit.

    model : prepared, or a float model; with its scales, observed ranges, masks and the modules' modes
    progress : the caller's count of steps or epochs
    generators : {name: generator} of random numbers beside the global ones of torch, NumPy and Python, which are always
        in the file: that of a data loader, for instance

    ``torch.load(path, weights_only=True)`` reads the file, which appears under its name only when it is complete. Of
    several processes each writes a file of its own, as their random numbers differ. Raises ``ValueError`` naming a part
    of a state that is not a tensor, a number, a text or a collection of these.
    """
    model = _unwrapped(model)
    state = {
        "format": FORMAT,
        "progress": progress,
        "model": model.state_dict(),
        "quantization": _quantization(model),
        "training": [name for name, module in model.named_modules() if module.training],
        "optimizer": optimizer.state_dict() if optimizer else None,
        "scheduler": scheduler.state_dict() if scheduler else None,
        "random": _random_state(generators or {}),
    }
    _check_plain(state, "checkpoint")
    with replacing(path) as file:
        torch.save(state, file)


def load_checkpoint(
    path: str | PathLike[str],
    model: nn.Module,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    *,
    generators: Mapping[str, torch.Generator] | None = None,
) -> int:
    """Restore what `save_checkpoint` wrote; returns `progress`.

    model : made as the saved one was; its values and masks do not matter
    optimizer, scheduler : of the same kinds, over the parameters of `model`

    Random generators are set, too, those of CUDA where the number of devices is the same.

    Raises ``ValueError`` for a file that is not such a checkpoint, or that is of another model, arithmetic or settings.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # what torch raises depends on the bytes that it takes for a pickle
        raise ValueError(f"{path} must be a checkpoint that save_checkpoint wrote, and whole") from error
    if not isinstance(state, dict) or set(state) != PARTS or state["format"] != FORMAT:
        raise ValueError(f"{path} must be a checkpoint that save_checkpoint wrote")
    model = _unwrapped(model)
    if state["quantization"] != _quantization(model):
        raise ValueError(f"{path} must be of a model with the same arithmetic and settings as model")
    for name, value in (("optimizer", optimizer), ("scheduler", scheduler)):
        if (state[name] is None) != (value is None):
            raise ValueError(f"{name} must be given if and only if {path} has its state")
    names = state["random"]["generators"]
    if set(names) != set(generators or {}):
        raise ValueError(f"generators must be {sorted(names)}, not {sorted(generators or {})}")
    restore_masks(model, state["model"])
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise ValueError(f"{path} must be of the same model: {_line(error)}") from error
    training = set(state["training"])
    for name, module in model.named_modules():
        module.training = name in training
    if optimizer:
        optimizer.load_state_dict(state["optimizer"])
    if scheduler:
        scheduler.load_state_dict(state["scheduler"])
    _set_random_state(state["random"], generators or {})
    progress: int = state["progress"]
    return progress


def _unwrapped(model: nn.Module) -> nn.Module:
    module: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    return module


def _quantization(model: nn.Module) -> dict[str, Any] | None:
    """What of a prepared model is not in its state."""
    if not isinstance(model, PreparedModel):
        return None
    return {"arithmetic": model.quantizers.arithmetic.as_dict(), "settings": model.quantizers.settings.as_dict()}


def _random_state(generators: Mapping[str, torch.Generator]) -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "generators": {name: generator.get_state() for name, generator in generators.items()},
    }


def _set_random_state(state: Mapping[str, Any], generators: Mapping[str, torch.Generator]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    for name, generator in generators.items():
        generator.set_state(state["generators"][name])


def _check_plain(value: object, where: str) -> None:
    """Raise ``ValueError`` naming the part that ``torch.load(weights_only=True)`` would refuse."""
    kind = type(value)
    if kind in (dict, OrderedDict, Counter):
        assert isinstance(value, dict)
        for key, part in value.items():
            _check_plain(key, f"a key of {where}")
            _check_plain(part, f"{where}[{key!r}]")
    elif kind in (list, tuple):
        assert isinstance(value, (list, tuple))
        for index, part in enumerate(value):
            _check_plain(part, f"{where}[{index}]")
    elif value is not None and kind not in (int, float, bool, str) and not isinstance(value, Tensor):
        raise ValueError(f"{where} must be a tensor, a number, a text or a collection of these, not {kind.__name__}")


def _line(error: Exception) -> str:
    """The first two lines of a message of torch in one."""
    return " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
