"""Scales that are made together are those that each of them makes, with the same gradients."""

from __future__ import annotations

import pytest
import torch

from qat.scales.scale import LogScale
from qat.scales.together import materialized


def scales(sizes: list[int | None]) -> list[LogScale]:
    made = [LogScale(size) for size in sizes]
    for index, scale in enumerate(made):
        scale.set(torch.rand(scale.value.shape, generator=torch.Generator().manual_seed(index)) + 0.1)
    return made


@pytest.mark.parametrize("sizes", [[None, None, None], [3, 1, 4], [None, None, 4]])
def test_values_and_gradients(sizes: list[int | None]) -> None:
    alone, together = scales(sizes), scales(sizes)
    for a, b in zip(alone[:2], together, strict=False):  # the last one's parameter stays
        with torch.no_grad():
            for scale in (a, b):
                scale.log_ratio += torch.linspace(0.01, 0.02, scale.log_ratio.numel()).view(scale.log_ratio.shape)
    found = materialized(together)
    wanted = [scale() for scale in alone]
    assert [torch.equal(found[b], y) for b, y in zip(together, wanted, strict=True)] == [True] * 3
    sum((found[scale] * 3).sum() for scale in together[1:]).backward()
    sum((y * 3).sum() for y in wanted[1:]).backward()
    assert together[0].log_ratio.grad is None
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a.value, b.value)
        assert torch.equal(a.materialized, b.materialized)
        if a is not alone[0]:
            assert torch.equal(a.log_ratio.grad, b.log_ratio.grad)


def test_later_values_do_not_reach_an_earlier_pass() -> None:
    made = scales([None, None])
    first = materialized(made)[made[0]]
    value = first.item()
    with torch.no_grad():
        made[0].log_ratio += 0.1
    second = materialized(made)[made[0]]
    assert first.item() == value < second.item()


@pytest.mark.parametrize("ratio", [float("nan"), 1e4])
def test_what_is_refused_is_left_to_the_scale(ratio: float) -> None:
    made = scales([None, None])
    with torch.no_grad():
        made[1].log_ratio.fill_(ratio)
    assert materialized(made) == {}
    with pytest.raises(ValueError, match="scale must be positive and finite"):
        made[1]()
    assert materialized([]) == {}
