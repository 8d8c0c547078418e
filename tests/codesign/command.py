"""Calling ``lockstep`` in a test: it fails with one sentence, or its JSON is all there is."""

from __future__ import annotations

import json

import pytest

from codesign.cli import ERROR, HOLDS, main


def fails(capsys: pytest.CaptureFixture[str], arguments: list[object], *named: str) -> str:
    """Run ``lockstep``, which must fail with one sentence that names the culprits; returns the sentence."""
    assert main([str(argument) for argument in arguments]) == ERROR
    out, err = capsys.readouterr()
    assert out == ""
    sentences = [line for line in err.splitlines() if line.startswith("lockstep: error: ")]
    assert len(sentences) == 1 and err.endswith(sentences[0] + "\n"), err
    assert "Traceback" not in err
    for name in named:
        assert name in sentences[0], sentences[0]
    return sentences[0]


def runs(capsys: pytest.CaptureFixture[str], arguments: list[object], status: int = HOLDS) -> dict[str, object]:
    """Run ``lockstep … --json -`` and return the JSON, which must be all that standard output holds."""
    assert main([*(str(argument) for argument in arguments), "--json", "-"]) == status
    result = json.loads(capsys.readouterr().out)
    assert isinstance(result, dict)
    return result
