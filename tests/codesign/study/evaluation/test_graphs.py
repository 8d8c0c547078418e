"""What a task says of a network's file that it cannot read: its own name for it, not the temporary file's."""

from __future__ import annotations

import pytest

from codesign.study.evaluation.graphs import model_graph
from emulator import Arithmetic


@pytest.mark.parametrize("model", [b"PK\x03\x04 an archive", b"\x08\x07 cut"])
def test_a_file_that_is_no_model(model: bytes) -> None:
    with pytest.raises(ValueError) as error:
        model_graph(model, Arithmetic())
    assert str(error.value).startswith("the network's file: ") and "/" not in str(error.value)
