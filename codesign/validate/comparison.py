"""`LayerComparison` and `OutputComparison`: what differs from another runtime, and whether that is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

TIE = 2.0**-12  # how near to a tie float32 arithmetic may round the other way, in steps of the output's scale


@dataclass(frozen=True)
class LayerComparison:
    """One layer on equal input codes.

    counterpart : the tensor of the file that holds its codes; None: there is none, and nothing is compared
    within : the layer with whose codes it is compared, where it has none of its own; its rounding was moved past moves
    compared, differing : numbers of codes; largest : the largest difference
    tie_distance : how much farther than half a code a differing code, of either side, lies from the number that was
        rounded: a tie that went the other way has about 0; None if none differs, or the number is not known
    bias_error : how far rounding a float or foreign bias can move a result, in codes; the runtime adds the float
    second_rounding : how far codes of a layer's sums in front of a function, which the file lacks, can move a result
    row_error : how far the widths of a layer by rows can move a result
    fused : whether a session with default options computes it by a kernel of its own for codes, which approximates
    overflows : sums that left the accumulator's range
    saturating : pairs of products that 16 bits do not hold can make each difference
    floats : whether the runtime rounds float32; one that has integers alone has no ties to round the other way
    """

    name: str
    operator: str
    counterpart: str | None
    within: str | None = None
    compared: int = 0
    differing: int = 0
    largest: int = 0
    tie_distance: float | None = None
    bias_error: float = 0.0
    second_rounding: float = 0.0
    row_error: float = 0.0
    fused: bool = False
    overflows: int = 0
    saturating: bool = False
    floats: bool = True

    @property
    def reason(self) -> str | None:
        """Why codes differ, where that is known; None where they do not, or for no known reason."""
        if not self.differing:
            return None
        if self.floats and self.tie_distance is not None:
            if self.tie_distance <= TIE:
                return "ties of float32"
            if self.tie_distance <= TIE + self.second_rounding:
                return "sums rounded in front of a function"
            if self.tie_distance <= TIE + self.row_error:
                return "the row's integers"
            if self.tie_distance <= TIE + self.bias_error:
                return "the rounded bias"
        if self.fused:
            return "a fused kernel"
        return "saturating 16-bit pairs" if self.saturating else None

    @property
    def explained(self) -> bool:
        """Whether nothing differs, or for a reason that is known and checked."""
        return not self.differing or self.reason is not None


@dataclass(frozen=True)
class OutputComparison:
    """One output of the whole model, host parts included.

    compared, differing : numbers of values; largest : the largest absolute difference
    relative : the largest difference relative to the output's largest magnitude
    """

    name: str
    kind: str
    compared: int
    differing: int
    largest: float
    relative: float


def compare_codes(
    tensor: Tensor, ours: NDArray[Any], theirs: NDArray[Any], real: NDArray[np.float64] | None, runtime: str
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """(where codes differ, the fields of a `LayerComparison` that say so).

    real : the numbers before rounding, in codes without the zero point; None: not known
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"layer {tensor.name!r} must have {runtime}'s shape {theirs.shape}, not {ours.shape}")
    difference = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
    differing = difference > 0
    distance = None
    if differing.any() and real is not None:
        offset = 128 if ours.dtype == np.uint8 else 0
        exact = np.clip(real[differing] + tensor.zero_point, tensor.y_min, tensor.y_max) + offset
        distance = max(float(np.abs(codes[differing] - exact).max()) - 0.5 for codes in (ours, theirs))
    counts = {"compared": int(difference.size), "differing": int(differing.sum())}
    return differing, counts | {"largest": int(difference.max(initial=0)), "tie_distance": distance}


def compare_output(name: str, ours: NDArray[Any], theirs: NDArray[Any], runtime: str) -> OutputComparison:
    """One output of the model; NaN is equal to NaN."""
    if ours.shape != theirs.shape:
        raise ValueError(f"output {name!r} must have {runtime}'s shape {theirs.shape}, not {ours.shape}")
    same = (ours == theirs) | ((ours != ours) & (theirs != theirs))
    left, right = (array[~same].astype(np.float64) for array in (ours, theirs))
    with np.errstate(invalid="ignore"):
        largest = float(np.nan_to_num(np.abs(left - right), nan=np.inf).max(initial=0.0))
        size = float(np.abs(theirs.astype(np.float64)).max(initial=0.0))
    relative = largest / size if size > 0 else largest
    return OutputComparison(name, str(theirs.dtype), int(theirs.size), int((~same).sum()), largest, relative)


def operator_name(tensor: Tensor) -> str:
    """The layer's operator, or Input."""
    return "Input" if type(tensor) is Tensor else type(tensor).__name__
