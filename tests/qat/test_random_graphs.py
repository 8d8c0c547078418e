"""Random graphs: torch's codes are the emulator's and those of plain integers, in train() as in eval().

Every case draws a network, its arithmetic and its settings; each test also asserts that its cases met what is hard.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, reject, seed, settings
from hypothesis import strategies as st
from torch import Tensor

import qat
from emulator import Graph, quantize, run_graph_counts
from emulator.arithmetic import OVERFLOWS, ROUNDINGS
from emulator.graph import to_nhwc
from emulator.graph.run import LayerCounts
from qat.layers.layer import Step
from tests import graph_oracle
from tests.qat.networks import exported
from tests.qat.networks.random_case import Case, prepared, random_case

SAMPLES, IN_INTEGERS = 5, 2  # of a case; those that the slow oracle takes, too
TIES = tuple(rounding for rounding in ROUNDINGS if rounding.startswith("half"))


@st.composite
def cases(draw: st.DrawFn, rounding: str, overflow: str) -> Case:
    """What `random_case` makes of Hypothesis's choices."""
    return random_case(lambda *choices: draw(st.sampled_from(choices)), rounding, overflow)


def every_code(model: qat.PreparedModel, x: Tensor) -> dict[str, Tensor]:
    """The codes of every layer in the mode in which the model is."""
    layers = model.quantizers
    with torch.no_grad():
        return {name: made.codes for name, made in layers(layers.host([x], model), Step(model)).items()}


def check_emulator(model: qat.PreparedModel, graph: Graph, x: Tensor) -> None:
    """Codes and counts of torch are those of the emulator."""
    emulated, counts = run_graph_counts(graph, {"input": x.numpy()})
    found = qat.codes(model, x)
    for name, codes in found.items():
        np.testing.assert_array_equal(codes, emulated[name], err_msg=name)
    assert all(any(name.startswith(f"{layer}/") for layer in found) for name in set(emulated) - set(found))
    for name, overflows in qat.overflow_counts(model, x).items():
        # A linear layer of a sequence stands between two transposes, of which the second has its name.
        counted = counts.get(f"{name}/codes", counts[name])
        np.testing.assert_array_equal(overflows, counted.overflows, err_msg=name)


def check_integers(graph: Graph, x: Tensor) -> Counter[str]:
    """Codes and counts of the emulator are those of plain integers; returns what these met."""
    (source,) = graph.inputs
    emulated, counts = run_graph_counts(graph, {"input": x.numpy()})
    inputs = quantize(x.numpy(), source.scale, source.zero_point, source.y_min, source.y_max)
    results = [graph_oracle.run(graph, {source.name: sample}) for sample in to_nhwc(inputs)]
    met: Counter[str] = Counter()
    for name, codes in emulated.items():
        np.testing.assert_array_equal(to_nhwc(codes), [result[name][0] for result in results], err_msg=name)
        here = sum((Counter(vars(result[name][1])) for result in results), Counter())
        assert totals(counts[name]) == (here["overflows"], here["clips"]), name
        met += here
    return met


def totals(counts: LayerCounts) -> tuple[int, int]:
    """Overflows and clips of all channels."""
    return int(counts.overflows.sum()), int(counts.clips.sum())


def check_training(model: qat.PreparedModel, x: Tensor) -> None:
    """The codes of train() are those of eval(), also when a pass in train() is over and its state restored."""
    expected, state = every_code(model, x), {name: value.clone() for name, value in model.state_dict().items()}
    result = model(x)
    found = every_code(model.train(), x)
    assert torch.equal(model(x), result)
    model.load_state_dict(state)
    again = every_code(model.eval(), x)
    for name, codes in expected.items():
        assert torch.equal(found[name], codes) and torch.equal(again[name], codes), name
    assert torch.equal(model(x), result)


def check_case(case: Case) -> Counter[str]:
    """All of the above; returns what was met, and how many graphs had which kind of layer."""
    model, x = prepared(case), case.data(SAMPLES)
    if model is None:
        reject()
    with tempfile.TemporaryDirectory() as folder:
        graph = exported(model, Path(folder))
    check_emulator(model, graph, x)
    met = check_integers(graph, x[:IN_INTEGERS])
    check_training(model, x)
    return met + Counter({type(node).__name__ for node in graph.nodes})


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_graphs(rounding: str, overflow: str, seeds: range) -> None:
    met: Counter[str] = Counter()

    # Derandomized, all modes would draw the same graphs.
    @seed(ROUNDINGS.index(rounding) * len(OVERFLOWS) + OVERFLOWS.index(overflow))
    @settings(max_examples=3 * len(seeds), deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(cases(rounding, overflow))
    def check(case: Case) -> None:
        met.update(check_case(case))

    check()
    assert met["overflows"] and met["clips"] and (met["ties"] or rounding not in TIES), met
