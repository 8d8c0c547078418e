"""Each built-in data set has a network that takes its inputs and tells its classes apart."""

from __future__ import annotations

import pytest
import torch

from codesign.datasets import BUILTIN, load_builtin
from codesign.datasets.networks import NETWORKS, network


def test_every_data_set_has_a_network_that_takes_it() -> None:
    assert list(NETWORKS) == list(BUILTIN)
    for name in BUILTIN:
        data = load_builtin(name)
        assert network(name)(torch.from_numpy(data.train_inputs[:3])).shape == (3, len(data.classes))


def test_an_unknown_name_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="the data set must be 'digits8', 'digits28' or 'watch', not 'digits'"):
        network("digits")
