"""The rows of CPU tensors as arrays for compiled passes, and their run in torch's number of threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

# Below this many a second thread does not pay: torch's idle threads go on spinning on the processors for a while, and
# the second thread waits up to a tick of the scheduler (4 ms) for one of them.
PARALLEL_ELEMENTS = 1 << 23


def rows(x: Tensor, axes: int = 1) -> NDArray[Any]:
    """`x`, not empty, as (rows, length): the first `axes` axes, and the others; its own memory if it is contiguous."""
    array: NDArray[Any] = x.detach().contiguous().view(math.prod(x.shape[:axes]), -1).numpy()
    return array


def run(kernel: Callable[..., None], arrays: tuple[NDArray[Any], ...], *scalars: Any) -> None:
    """The kernel on the rows of all `arrays`, a share for each thread; they write disjoint rows."""
    threads = torch.get_num_threads() if arrays[0].size >= PARALLEL_ELEMENTS else 1
    count = len(arrays[0])
    each = -(-count // threads)

    def share(first: int) -> None:
        kernel(*(array[first : first + each] for array in arrays), *scalars)

    if each >= count:
        kernel(*arrays, *scalars)
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(share, first) for first in range(each, count, each)]
        share(0)
        for other in others:
            other.result()
