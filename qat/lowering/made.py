"""What makes the value of a node: a layer, an input, or what several layers make that is no tensor of the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..layers.expression import Expression


@dataclass(frozen=True)
class Steps:
    """A tensor (batch, steps, length), or with the batch second (steps, batch, length).

    parts : the layers (batch, length) of its steps
    whole : the layer (batch, steps, length) of all of them; like any other, it is dropped where nobody reads it
    """

    parts: tuple[str, ...]
    whole: str
    batch_second: bool = False

    @property
    def axis(self) -> int:
        """The steps' axis."""
        return 0 if self.batch_second else 1

    @property
    def layer(self) -> str:
        """The layer of all of them, ``ValueError`` where the batch is second."""
        if self.batch_second:
            raise ValueError(
                "a tensor with the batch on its second axis can only be indexed, sliced, transposed or read by a "
                "recurrent module: transpose it back first"
            )
        return self.whole

    def turned(self) -> Steps:
        """Steps and batch exchanged."""
        return replace(self, batch_second=not self.batch_second)


@dataclass(frozen=True, eq=False)
class Regrouped:
    """The codes of the layer `source`, of that shape without the batch axis, in another shape and order.

    places : of the tensor's shape without the batch axis; where in the layer's result, in torch's order, a code stands
    batch : the tensor's axis that is the batch
    """

    source: str
    shape: tuple[int, ...]
    places: NDArray[np.int64]
    batch: int = 0

    @property
    def layer(self) -> str:
        """Raises ``ValueError``: no layer has so many axes, or the batch behind another one."""
        if self.batch:
            raise ValueError("the batch must stay the first axis: permute the axes behind it, or take the parts first")
        raise ValueError(
            f"a tensor of {self.places.ndim + 1} axes can only be transposed, and reshaped to at most 4: reshape "
            "it first"
        )


@dataclass(frozen=True, eq=False)
class Condition:
    """A comparison: the tensor that it looks at, and functions of that which are 1 where it holds, and where not."""

    source: str
    yes: Expression
    no: Expression

    @property
    def layer(self) -> str:
        """Raises ``ValueError``: there are no codes yet."""
        raise ValueError(
            "a comparison can only choose, in torch.where or masked_fill, or be a factor: give it to one of them"
        )


Made = str | Steps | Regrouped | Condition
