"""What is not supported is an error that names the node and its line in the source."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from tests.qat.networks import Written, images


def _overwritten(x: Tensor) -> Tensor:
    rows = x.flatten(1)
    x.relu_()
    return rows


def _overwritten_view(x: Tensor) -> Tensor:
    groups = x.view(-1, 2, 2, 7, 6).transpose(1, 2)
    x.relu_()
    return groups.reshape(-1, 4, 7, 6)


UNSUPPORTED: dict[str, tuple[Callable[[Written, Tensor], Tensor], str]] = {
    "softmax": (lambda m, x: m.conv(x).log_softmax(1), "node 'log_softmax' .*: this operator is not supported"),
    "quotient": (lambda m, x: m.conv(x) / m.other(m.conv(x)), "node 'div' .*: a quotient must be of one tensor and a"),
    "alpha": (lambda m, x: torch.add(m.conv(x), m.conv(x), alpha=2), "node 'add' .*: alpha must be 1, not 2"),
    "power": (lambda m, x: m.conv(x) ** 3, "node 'pow.*' .*: the exponent must be 2, not 3"),
    "a view overwritten": (lambda m, x: _overwritten(m.conv(x)), "shares memory with what node 'relu_' .* overwrites"),
    "divisor": (lambda m, x: F.avg_pool2d(m.conv(x), 2, divisor_override=3), "divisor_override must be None, not 3"),
    "uneven": (
        lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 2),
        "an adaptive pool's output 2×2 must divide its input 7×6",
    ),
    "window": (
        lambda m, x: F.max_pool2d(m.conv(x), 2, 1, 1, 7),
        r"node 'max_pool2d' .*: padding must leave every window a position on the map, not \(1, 1\)",
    ),
    "five axes": (
        lambda m, x: m.conv(x).view(-1, 2, 2, 7, 6),
        "node 'output' .*: a tensor of 5 axes can only be transposed, and reshaped to at most 4",
    ),
    "five axes in a function": (
        lambda m, x: m.conv(x).view(-1, 2, 2, 7, 6).relu().flatten(1),
        "node 'relu' .*: a tensor of 5 axes can only be transposed, and reshaped to at most 4",
    ),
    "the batch of five axes": (
        lambda m, x: m.conv(x).view(-1, 2, 2, 7, 6).transpose(0, 1),
        "node 'transpose' .*: the batch must stay the first axis",
    ),
    "another order by five axes": (
        lambda m, x: m.conv(x).view(-1, 2, 2, 7, 6).permute(0, 3, 1, 4, 2).reshape(-1, 4, 7, 6),
        "node 'reshape' .*: an order by way of more than 4 axes must be one along a single axis, such as a channel",
    ),
    "a view of five axes overwritten": (
        lambda m, x: _overwritten_view(m.conv(x)),
        "shares memory with what node 'relu_' .* overwrites",
    ),
    "an index that is computed": (
        lambda m, x: m.conv(x).index_select(1, m.norm.weight.argsort()),
        "node 'index_select' .*: its index must be a constant or a buffer",
    ),
    "the batch backwards": (lambda m, x: m.conv(x).flip(0), "node 'flip' .*: the batch must stay in its order"),
    "the batch moved": (
        lambda m, x: m.conv(x).transpose(0, 1),
        "node 'transpose' .*: the batch must stay the first axis",
    ),
    "the batch cut": (lambda m, x: m.conv(x)[1:], "model must be traceable|the batch must stay whole"),
    "half of the batch": (
        lambda m, x: m.conv(x)[: x.shape[0] // 2],
        r"node 'slice_1' .*: the batch must stay a whole axis, which it is not in \(.*2.*, 4, 7, 6\)",
    ),
    "the batch in an axis with others": (
        lambda m, x: m.conv(x).flatten(0, 1).sigmoid(),
        r"node 'flatten' .*: the batch must stay a whole axis, which it is not in \(4\*.*, 7, 6\)",
    ),
    "another threshold": (
        lambda m, x: F.softplus(m.conv(x), threshold=5),
        "node 'softplus' .*: threshold must be at least 20, not 5",
    ),
    "another ELU": (
        lambda m, x: torch.ops.aten.elu(m.conv(x), 1.0, 1.0, 2.0),
        "node 'elu' .*: scale and input_scale must be 1, not 1.0 and 2.0",
    ),
    "the batch joined": (lambda m, x: torch.cat([x, x]).sigmoid(), "node 'cat' .*: the batch must stay the first axis"),
    "the batch reduced": (
        lambda m, x: m.conv(x).mean((0, 2)),
        "node 'mean' .*: a reduction must not go over the batch",
    ),
    "all reduced": (lambda m, x: m.conv(x).mean((1, 2, 3)), "node 'mean' .*: a reduction must leave an axis"),
    "ones around": (lambda m, x: F.pad(m.conv(x), (1, 1), value=1), "node 'pad' .*: only zeros can surround a tensor"),
    "dropout": (lambda m, x: F.dropout(m.conv(x), 0.5, True), "a dropout must be off in eval mode"),
    "type": (lambda m, x: m.conv(x).double(), "the type of its tensor must stay the same"),
    "a number beside": (lambda m, x: (m.conv(x), 3), "the model must return tensors .*, not 3"),  # type: ignore[dict-item]
    "a slash": (
        lambda m, x: {"a/b": m.conv(x), "c": x.relu()},  # type: ignore[dict-item]
        r"the model's results must have different names without a slash, not \['a/b', 'c'\]",
    ),
    "one name twice": (
        lambda m, x: {1: m.conv(x), "1": x.relu()},  # type: ignore[dict-item]
        r"the model's results must have different names without a slash, not \['1', '1'\]",
    ),
    "batch": (lambda m, x: m.conv(x).reshape(2, -1), "model must be traceable by torch.export for any batch size"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_named(name: str) -> None:
    function, message = UNSUPPORTED[name]
    with pytest.raises(ValueError, match=message) as error:
        qat.prepare(Written(function), images(2))
    text = str(error.value)
    # Where, what, and what to do.
    assert re.search(r"\.py, line \d+: `.+`\)", text) or "the model" in text, text
    assert re.search(r"[^:`]: [a-z]", text.split("`)")[-1].removeprefix(": ")) or "torch.export" in text, text


def test_the_line_of_the_source_is_named() -> None:
    with pytest.raises(ValueError) as error:
        qat.prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.LogSoftmax(1)), images(2))
    # There is no line but torch's own.
    assert str(error.value).startswith(
        "node '1' (module '1' LogSoftmax, aten.log_softmax.int): this operator is not supported: "
    )
    with pytest.raises(ValueError, match=r"networks/__init__\.py, line \d+: `return self"):
        qat.prepare(Written(lambda m, x: m.conv(x).logsumexp(1)), images(2))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.LogSoftmax(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x)

    with pytest.raises(ValueError, match=re.escape(Path(__file__).name) + r", line \d+: `return self\.part\(x\)`\)"):
        qat.prepare(Model(), images(2))


class Nested(nn.Module):
    """A module of the user's in a Sequential."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(8, -1)


class Terse(nn.Module):
    """Its author calls the object by another name than self."""

    def forward(m, x: Tensor) -> Tensor:
        return x.reshape(8, -1)


FIXED: dict[str, tuple[nn.Module, str]] = {
    "a view": (Written(lambda m, x: m.conv(x).view(8, -1)), r"lambda m, x: m\.conv\(x\)\.view\(8, -1\)"),
    "another word for self": (Terse(), r"`return x\.reshape\(8, -1\)`"),
    "a branch": (Written(lambda m, x: x if x.shape[0] == 2 else -x), r"if x\.shape\[0\] == 2"),
    "a loop": (Written(lambda m, x: sum(x[i] for i in range(len(x)))), r"for i in range\(len\(x\)\)"),
    "a module": (nn.Sequential(nn.ReLU(), nn.Sequential(nn.Unflatten(0, (2, -1)))), "module '1.0' Unflatten"),
    "a module of the user's": (nn.Sequential(nn.ReLU(), Nested()), r"module '1' Nested, .*`return x\.view\(8, -1\)`"),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_batch_is_named_by_its_line(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    model, place = FIXED[name]
    with pytest.raises(ValueError, match=rf"for any batch size: its code .* flatten\(1\) \(.*{place}"):
        qat.prepare(model, images(2))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: x if x.sum() > 0 else -x, r"not branch on values .* torch\.where .*`.*if x\.sum\(\) > 0"),
        (lambda m, x: x * torch.from_numpy(x.numpy()), r"in torch, not go through NumPy: .*`.*x\.numpy\(\)"),
        (
            lambda m, x: m.linear(m.conv(x)),
            r"a and b must have same .* \(module 'linear' Linear, .*m\.linear\(m\.conv\(x\)\)",
        ),
    ],
)
def test_what_cannot_be_captured_is_named(function: Callable[[Written, Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        qat.prepare(Written(function), images(2))
