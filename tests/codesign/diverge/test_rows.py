"""Elements of layers by rows, traced in Python's integers, against the vectors and the emulator."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.diverge.element import ElementTracer
from tests.emulator.graph.test_row_nodes import KINDS, of_vector
from tests.row_cases import row_cases


@pytest.mark.parametrize("kind", KINDS)
def test_elements_of_vectors(kind):
    rng = np.random.default_rng(1)
    for case in row_cases(kind)[::25]:
        tracer = ElementTracer(of_vector(kind, case), {"x": case.x})
        for place in {0, len(case.x) - 1, *rng.integers(0, len(case.x), 2).tolist()}:
            trace = tracer.trace("rows", (place,))
            assert trace.code == case.y[place] and trace.operands[0].code == case.x[place]
            assert trace.steps[-1].value == trace.code
