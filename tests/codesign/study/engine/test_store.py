"""The store: what is written is read back; what is damaged, cut, foreign or half-written counts as absent."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.study.engine.store import Store
from codesign.study.engine.task import Outcome, Task

KEY = Task("run", {"rows": 8}).key("sources")
OUTCOME = Outcome({"cycles": 12, "share": 0.1, "layers": [{"name": "a"}]}, {"model.onnx": b"\x00\xff"}, None, 1.5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    made.put("run", KEY, OUTCOME)
    return made


def entry(store: Store) -> Path:
    return store.folder / "run" / KEY


def test_an_outcome_is_read_back(store: Store) -> None:
    read = Store(store.folder).get("run", KEY)
    assert read is not None
    assert (read.values, read.files, read.failure, read.seconds) == (
        OUTCOME.values, OUTCOME.files, OUTCOME.failure, OUTCOME.seconds,
    )  # fmt: skip
    assert sorted(path.name for path in entry(store).iterdir()) == ["model.onnx", "outcome.json"]
    assert [path.name for path in (store.folder / "run").iterdir()] == [KEY]


def test_what_was_never_put_is_absent(store: Store) -> None:
    assert store.get("run", "0" * 64) is None and store.get("train", KEY) is None and store.damaged == 0


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}', b'"x"',
        b'{"format": 2, "kind": "run", "key": "' + KEY.encode() + b'"}',
    ],
)  # fmt: skip
def test_a_damaged_record_is_absent_and_can_be_put_again(store: Store, text: bytes) -> None:
    (entry(store) / "outcome.json").write_bytes(text)
    assert store.get("run", KEY) is None and store.damaged == 1
    store.put("run", KEY, OUTCOME)
    assert store.get("run", KEY) is not None and store.damaged == 1


def test_a_changed_number_or_file_is_noticed(store: Store) -> None:
    record = entry(store) / "outcome.json"
    text = record.read_text()
    record.write_text(text.replace('"cycles": 12', '"cycles": 11'))
    assert store.get("run", KEY) is None
    record.write_text(text)
    assert store.get("run", KEY) is not None
    (entry(store) / "model.onnx").write_bytes(b"\x00\xfe")
    assert store.get("run", KEY) is None
    (entry(store) / "model.onnx").unlink()
    assert store.get("run", KEY) is None


def test_an_entry_of_another_task_is_not_taken(store: Store) -> None:
    other = Task("run", {"rows": 16}).key("sources")
    entry(store).rename(store.folder / "run" / other)
    assert store.get("run", other) is None and store.damaged == 1


def test_a_file_outside_is_not_read(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\x00\xff")
    (entry(store) / "model.onnx").unlink()
    (entry(store) / "model.onnx").symlink_to(tmp_path / "secret")
    assert store.get("run", KEY) is None
    record = entry(store) / "outcome.json"
    table = json.loads(record.read_text())
    table["files"] = {"../../../secret": table["files"]["model.onnx"]}
    record.write_text(json.dumps(table))
    assert store.get("run", KEY) is None
    with pytest.raises(ValueError, match=r"plain name, not '\.\./x'"):
        store.put("run", KEY, Outcome({}, {"../x": b""}))


def test_a_file_in_the_place_of_an_entry_is_replaced(store: Store) -> None:
    other = "1" * 64
    (store.folder / "run" / other).write_text("foreign")
    assert store.get("run", other) is None
    store.put("run", other, OUTCOME)
    assert store.get("run", other) is not None


def test_what_a_killed_process_left_is_cleared(store: Store) -> None:
    rest = store.folder / "run" / f".{KEY}.999.part"
    rest.mkdir()
    (rest / "model.onnx").write_bytes(b"half")
    Store(store.folder)
    assert not rest.exists() and store.get("run", KEY) is not None


def test_a_full_disk_leaves_nothing_half_written(store: Store) -> None:
    """A limit of the file size is what a process without rights can have of a full disk."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from codesign.study.engine.store import Store;"
        "from codesign.study.engine.task import Outcome;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        f"store = Store(Path({str(store.folder)!r}));"
        f"store.put('run', {KEY!r}, Outcome({{}}, {{'model.onnx': bytes(5000)}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{store.folder}'"
    assert [path.name for path in (store.folder / "run").iterdir()] == [KEY]
    assert store.get("run", KEY) is not None
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_key_depends_on_all_that_the_outcome_depends_on() -> None:
    keys = {
        Task(kind, arguments).key(sources)
        for kind in ("run", "train")
        for arguments in ({"rows": 8}, {"rows": 8.5}, {"rows": "8"}, {"columns": 8})
        for sources in ("1", "2")
    }
    assert len(keys) == 16
    assert Task("run", {"a": 1, "b": 2}).key("") == Task("run", {"b": 2, "a": 1}, {"file": b"follows"}).key("")
    with pytest.raises(ValueError, match="JSON compliant"):
        Task("run", {"rows": float("nan")}).key("")
