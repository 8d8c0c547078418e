"""The rooms of docs/architecture.md: no circle of imports, not of types either; each imports only what it may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "emulator": set[str](),
    "compiler": {"emulator"},
    "rtl": {"emulator"},
    "qat": {"emulator", "compiler"},
    "codesign": {"emulator", "compiler", "rtl", "qat"},
}
"""Room → the others that it may import."""


def imported(node: ast.AST, package: list[str]) -> Iterator[str]:
    """Names that an import at a module's beginning, one for types alone too, brings from anywhere."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue  # later imports are no circle
        if isinstance(child, ast.ImportFrom):
            base = [*package[: len(package) - child.level + 1], *filter(None, [child.module])] if child.level else None
            start = ".".join(base) if base else child.module or ""
            yield from (f"{start}.{name.name}" for name in child.names)
        elif isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        else:
            yield from imported(child, package)


def graph(root: Path) -> dict[str, set[str]]:
    """Module → the modules of the rooms that it imports."""
    files = [path for room in MAY_IMPORT for path in (root / room).rglob("*.py")]
    modules = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        parts = module.split(".")
        package = parts if path.name == "__init__.py" else parts[:-1]
        names = imported(ast.parse(path.read_text(encoding="utf-8")), package)
        targets = {name if name in modules else name.rpartition(".")[0] for name in names}
        found[module] = {target for target in targets if target in modules and target != module}
    return found


def test_there_is_no_circle_of_imports() -> None:
    made = graph(ROOT)
    assert len(made) > 500 and "emulator.graph.nodes" in made["emulator.graph.graph"]
    tuple(TopologicalSorter(made).static_order())  # an error names the circle


def test_rooms_import_only_those_that_they_may() -> None:
    wrong = {
        (module, target)
        for module, targets in graph(ROOT).items()
        for target in targets
        if target.split(".")[0] not in MAY_IMPORT[module.split(".")[0]] | {module.split(".")[0]}
    }
    assert not wrong


def test_a_circle_of_types_is_found(tmp_path: Path) -> None:
    (tmp_path / "emulator").mkdir()
    (tmp_path / "emulator" / "a.py").write_text("from .b import B\n")
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A\n"
    (tmp_path / "emulator" / "b.py").write_text(typed)
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(graph(tmp_path)).static_order())
    (tmp_path / "emulator" / "b.py").write_text("def later():\n    from .a import A\n")
    assert list(TopologicalSorter(graph(tmp_path)).static_order()) == ["emulator.b", "emulator.a"]
