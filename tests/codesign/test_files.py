"""An output file is complete or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.files import check_apart, check_writable, filling_folder, replacing, replacing_folder, write_text


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with replacing(file) as temporary:
        temporary.write_text("half")
        assert not file.exists() and temporary.suffix == ".txt" and temporary.parent == tmp_path
        temporary.write_text("whole")
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(error), replacing(file) as temporary:
        temporary.write_text("half")
        raise error
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "a.txt", tmp_path / "link.txt"
    write_text(file, "old")
    link.symlink_to(file)
    write_text(link, "new")
    assert link.is_symlink() and file.read_text() == "new"


def test_a_device_is_written_and_not_replaced() -> None:
    write_text("/dev/null", "nothing")
    assert not Path("/dev/null").is_file()


def test_an_error_names_the_file_that_the_user_gave(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as raised:
        write_text("/dev/full", "text")
    assert raised.value.filename == "/dev/full"
    with pytest.raises(OSError, match="No such file") as raised:  # root may write there, says its mode
        write_text("/proc/a.txt", "text")
    assert raised.value.filename == "/proc/a.txt"
    with pytest.raises(FileNotFoundError) as raised, filling_folder(tmp_path / "out", ["a.txt"]) as temporary:
        (temporary / "absent" / "a.txt").touch()
    assert raised.value.filename == str(tmp_path / "out" / "absent" / "a.txt")


def test_an_error_of_something_else_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as raised, replacing(tmp_path / "a.txt"):
        (tmp_path / "absent" / "b.txt").touch()
    assert raised.value.filename == str(tmp_path / "absent" / "b.txt")
    with pytest.raises(OSError, match="No space left") as raised, filling_folder(tmp_path / "out", []):
        raise OSError(28, "No space left on device")
    assert raised.value.filename is None


@pytest.mark.parametrize("name", ["absent/a.txt", "."])
def test_a_place_that_cannot_be_written_is_named_beforehand(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match="folder") as raised:
        check_writable(tmp_path / name)
    assert raised.value.filename == str(tmp_path / name)


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for text in ("first", "second"):
        with replacing_folder(folder, ["a.txt"]) as temporary:
            (temporary / "a.txt").write_text(text)
            assert temporary != folder
        assert (folder / "a.txt").read_text() == text and list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_folder(tmp_path: Path, error: type[BaseException]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_text("old")
    with pytest.raises(error), replacing_folder(folder, ["a.txt", "b.txt"]) as temporary:
        (temporary / "a.txt").write_text("half")
        raise error
    assert (folder / "a.txt").read_text() == "old" and list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.txt"), replacing_folder(tmp_path, ["a.txt"]):
        pass
    with pytest.raises(NotADirectoryError), replacing_folder(tmp_path / "mine.txt", ["a.txt"]):
        pass


def test_a_folder_is_filled_beside_what_lies_there(tmp_path: Path) -> None:
    folder = tmp_path / "absent" / "out"
    for text in ("first", "second"):
        with filling_folder(folder, ["a.txt"]) as temporary:
            (temporary / "a.txt").write_text(text)
        assert (folder / "a.txt").read_text() == text
        (folder / "mine.txt").touch()
        assert {file.name for file in folder.iterdir()} == {"a.txt", "mine.txt"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "there").mkdir()
    write_text(tmp_path / "there" / "a.txt", "old")
    for name in ("there", "there/absent/out"):
        with pytest.raises(error), filling_folder(tmp_path / name, ["a.txt"]) as temporary:
            (temporary / "a.txt").write_text("half")
            raise error
    assert [file.name for file in (tmp_path / "there").iterdir()] == ["a.txt"]
    assert (tmp_path / "there" / "a.txt").read_text() == "old"


@pytest.mark.parametrize("name", ["file", "file/out", "taken"])
def test_a_folder_that_cannot_be_filled_is_refused_beforehand(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "a.txt").mkdir(parents=True)
    with pytest.raises(OSError, match=r"not a folder|not a file"), filling_folder(tmp_path / name, ["a.txt"]):
        pytest.fail("the block must not run")


def test_files_that_a_command_reads_are_not_written_over(tmp_path: Path) -> None:
    model, link = tmp_path / "model.onnx", tmp_path / "link.onnx"
    model.write_bytes(b"x")
    link.symlink_to(model)
    (tmp_path / "hard.onnx").hardlink_to(model)
    check_apart((tmp_path / "a.json", "-", None, "/dev/null", "/dev/null", tmp_path), (model, None, "tflm"))
    for path in (model, link, tmp_path / "hard.onnx", tmp_path / "sub" / ".." / "model.onnx"):
        with pytest.raises(ValueError, match=rf"^{path}: must be another file than {model}, which this command reads"):
            check_apart((tmp_path / "a.json", path), (None, model))
    with pytest.raises(ValueError, match=rf"^{tmp_path}/a\.json: must be another file than {tmp_path}/a\.json, which"):
        check_apart((tmp_path / "a.json", None, str(tmp_path / "a.json")))
