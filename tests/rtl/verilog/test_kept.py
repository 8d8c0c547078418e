"""Verilog is elaborated once for the same sources and config."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl.verilog import kept


def test_text_is_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    written: list[str] = []

    def ask(asked: str) -> str:
        return kept.kept(asked, lambda: written.append(asked) or f"module {asked}; // ×")

    assert [ask("a"), ask("a"), ask("b")] == ["module a; // ×", "module a; // ×", "module b; // ×"]
    assert written == ["a", "b"]
    for file in (tmp_path / "cache" / "verilog").iterdir():
        file.write_bytes(file.read_bytes()[:-1])  # as after a full disk
    assert ask("a") == "module a; // ×" and written == ["a", "b", "a"]
    monkeypatch.setattr(kept, "_sources", lambda: "others")
    assert ask("a") == "module a; // ×" and written == ["a", "b", "a", "a"]


def test_a_cache_that_cannot_be_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "file" / "cache"))
    assert kept.kept("a", lambda: "text") == "text"
