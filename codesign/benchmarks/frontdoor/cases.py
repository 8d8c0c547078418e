"""Small graphs that people meet: scripts of a folder, each of which builds one; what must become of it is said here."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx

from ..rows import row
from .matrix import evaluate

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "dynamic_quantize": "quantize_static",
        "int16_activations": "8 bits",
        "lstm": "float",
    }
)
"""Case → a word of the sentence that refuses it, which says what to do; all others are read, and right."""
TRANSFORMERS = ("layer_norm", "matmul_two_activations", "softmax_inside")
"""Cases of operators that only a transformer needs."""


def rows(folder: Path | None, work: Path) -> list[dict[str, Any]]:
    """One row: how many cases of `folder` come out otherwise than they must; "wrong" in JSON has them.

    folder : ``NAME.py`` of each case beside ``_mini.py``; work : an empty folder for their files
    """
    title = "cases that come out otherwise than they must"
    if folder is None or not (folder / "_mini.py").is_file():
        return [row(title, "not run: no folder of cases is given", "cases", "= 0")]
    wrong: dict[str, str] = {}
    names = [path.stem for path in sorted(folder.glob("[a-z]*.py")) if path.stem not in TRANSFORMERS]
    for name in names:
        reason = judged(name, build(folder / f"{name}.py", work / f"{name}.onnx"))
        if reason is not None:
            wrong[name] = reason
    return [row(f"{title}, of {len(names)}", len(wrong), "cases", "= 0", not wrong) | {"wrong": wrong}]


def build(script: Path, path: Path) -> Path:
    """Run a case's `script`, which hands its model to ``verdict`` of ``_mini``, and write that model to `path`."""

    def keep(model: onnx.ModelProto, what: str, right: str) -> None:
        onnx.save(onnx.shape_inference.infer_shapes(model), path)

    with _mini(script.with_name("_mini.py"), keep):
        exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), {"__name__": "case"})
    return path


@contextmanager
def _mini(path: Path, keep: object) -> Iterator[None]:
    """The module ``_mini`` that the scripts import, with `keep` in place of its ``verdict``."""
    spec = importlib.util.spec_from_file_location("_mini", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.verdict = keep  # type: ignore[attr-defined]
    sys.modules["_mini"] = module
    try:
        yield
    finally:
        del sys.modules["_mini"]


def judged(name: str, path: Path) -> str | None:
    """What is wrong with how `path` is taken; None if nothing is."""
    outcome = evaluate(path, machine=True)
    word = REFUSED.get(name)
    if word is None:
        return None if outcome.right else outcome.reason
    if outcome.accepted:
        return "it is read"
    reason = outcome.reason or ""
    if word not in reason or re.search(r"\.\s", reason):
        return f"the sentence must say {word!r}: {reason}"
    return None
