"""Libraries that make the same bits faster, looked for when there is work for them."""

from __future__ import annotations

import functools
import importlib.util
import sys


class OptionalLibrary:
    """Whether to use a library that may not be installed, and that takes time to load.

    modules : all must be installed; the first is the one that takes time
    to_use : the least work of a call that is worth the library
    to_load : the work, of all calls together, that without the library takes about as long as loading it: so whoever
        computes little never waits for it, and nobody loses more than twice
    """

    def __init__(self, *modules: str, to_use: int, to_load: int) -> None:
        self.to_use, self.to_load = to_use, to_load
        self._modules = modules
        self._work = 0

    def pays(self, work: int) -> bool:
        """Whether it is installed and worth a call with that much work; counts the work of those that it is not."""
        if work < self.to_use or not installed(*self._modules):
            return False
        if self._modules[0] in sys.modules:
            return True
        self._work += work
        return self._work >= self.to_load


@functools.cache
def installed(*modules: str) -> bool:
    """Whether all these modules are installed; looks, but imports nothing."""
    return all(sys.modules.get(name, name) is not None and importlib.util.find_spec(name) for name in modules)


NUMBA = OptionalLibrary("numba", to_use=1 << 12, to_load=1 << 24)
"""For passes over tensors; work: their elements."""
ONNX_RUNTIME = OptionalLibrary("onnxruntime", "onnx", to_use=1 << 16, to_load=1 << 32)
"""For products of bytes; work: multiplications."""
