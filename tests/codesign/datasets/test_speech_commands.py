"""Speech Commands: the splits of the two lists, the samples that were written, and damage that is named."""

from __future__ import annotations

import os
import random
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.datasets import KEYWORDS, load_speech_commands
from tests.codesign.datasets.writers import random_samples, write_speech_commands, write_wav

WANTED = (
    "Speech Commands is read from validation_list.txt and testing_list.txt beside one folder of WAV files for each word"
)
CLIPS = {
    "yes/b_nohash_0.wav": random_samples(1, 16_000),
    "yes/a_nohash_1.wav": random_samples(2, 11_889),
    "yes/c_nohash_0.wav": random_samples(3, 16_000),
    "no/b_nohash_0.wav": random_samples(4, 2),
    "no/a_nohash_0.wav": random_samples(5, 15_999),
    "cat/d_nohash_0.wav": random_samples(6, 16_000),
}
VALIDATION = ["yes/c_nohash_0.wav"]
TESTING = ["no/b_nohash_0.wav", "yes/b_nohash_0.wav"]
TRAIN = ["cat/d_nohash_0.wav", "no/a_nohash_0.wav", "yes/a_nohash_1.wav"]
CLIP = "yes/a_nohash_1.wav"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_speech_commands(tmp_path, CLIPS, VALIDATION, TESTING)
    write_wav(tmp_path / "_background_noise_" / "running_tap.wav", random_samples(9, 40_000))
    (tmp_path / "README.md").write_text("of the data set")
    (tmp_path / "yes" / "notes.txt").write_text("no clip")
    return tmp_path


def refused(
    folder: Path, sentence: str, error: type[Exception] = ValueError, split: str = "train", **options: object
) -> None:
    with pytest.raises(error, match=re.escape(sentence)) as raised:
        load_speech_commands(folder, split, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("split", "names"), [("train", TRAIN), ("validation", VALIDATION), ("test", TESTING)])
def test_reads_what_is_written(folder: Path, split: str, names: list[str]) -> None:
    found = load_speech_commands(folder, split)
    assert found.classes == ("cat", "no", "yes")
    assert (found.inputs.dtype, found.inputs.shape) == (np.int16, (len(names), 16_000))
    assert found.labels.dtype == np.int64
    assert [found.classes[label] for label in found.labels] == [name.partition("/")[0] for name in names]
    for waveform, name in zip(found.inputs, names, strict=True):
        assert waveform.tolist() == CLIPS[name] + [0] * (16_000 - len(CLIPS[name]))
    assert torch.from_numpy(found.inputs).dtype == torch.int16  # warns, which is an error here, if it is read-only


def test_words_are_the_classes_in_their_order(folder: Path) -> None:
    found = load_speech_commands(folder, "test", ["yes", "no"])
    assert found.classes == ("yes", "no") and found.labels.tolist() == [0, 1]
    assert found.inputs[0].tolist() == CLIPS["yes/b_nohash_0.wav"]


def test_keywords(tmp_path: Path) -> None:
    clips = {f"{word}/a_nohash_0.wav": random_samples(0, 100) for word in (*KEYWORDS, "bed")}
    write_speech_commands(tmp_path, clips, [], [])
    found = load_speech_commands(tmp_path, "train", KEYWORDS)
    assert found.labels.tolist() == list(range(10)) and found.classes == KEYWORDS


def test_clips_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    numbers = random.Random(0).sample(range(100), 40)
    write_speech_commands(tmp_path, {f"yes/{number:02}.wav": [number] for number in numbers}, [], [])
    assert load_speech_commands(tmp_path, "train").inputs[:, 0].tolist() == sorted(numbers)


def test_other_chunks_are_skipped(folder: Path) -> None:
    data = (folder / CLIP).read_bytes()
    extra = b"LIST" + struct.pack("<I", 6) + b"INFO.."
    (folder / CLIP).write_bytes(
        data[:4] + struct.pack("<I", len(data) - 8 + len(extra)) + data[8:36] + extra + data[36:]
    )
    assert load_speech_commands(folder, "train").inputs[2, :11_889].tolist() == CLIPS[CLIP]


def test_split(folder: Path) -> None:
    refused(folder, "split must be 'train', 'validation' or 'test', not 'dev'", split="dev")


def test_words(folder: Path) -> None:
    refused(folder, "words must differ, not yes, no and yes", words=["yes", "no", "yes"])
    missing = f"there is no folder of the word 'dog' in this folder; {WANTED}"
    refused(folder, missing, FileNotFoundError, words=["yes", "dog"])
    for other in ("_background_noise_", "../yes", "README.md", "."):
        refused(folder, f"there is no folder of the word {other!r}", FileNotFoundError, words=[other])


@pytest.mark.parametrize("name", ["validation_list.txt", "testing_list.txt"])
def test_a_missing_list(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"there is no file {name} in this folder; {WANTED}", FileNotFoundError)


def test_missing_folders(tmp_path: Path) -> None:
    refused(tmp_path / "absent", f"there is no such folder; {WANTED}", FileNotFoundError)
    write_speech_commands(tmp_path, {}, [], [])
    refused(tmp_path, f"there is no folder of a word in this folder; {WANTED}", FileNotFoundError)


def test_a_split_without_clips(folder: Path) -> None:
    refused(
        folder,
        f"{folder}: holds no clip of the 'validation' split of no and cat",
        split="validation",
        words=["no", "cat"],
    )


@pytest.mark.parametrize("line", ["yes", "yes/a.mp3", "yes/x/a.wav", "/a.wav", "", "\0" * 100])
def test_a_line_that_is_no_clip(folder: Path, line: str) -> None:
    file = folder / "testing_list.txt"
    file.write_text(f"{TESTING[0]}\n{line}\n")
    refused(folder, f"{file}: line 2 must be like yes/clip.wav, not {line[:80]!r}")


def test_a_list_of_absent_clips(folder: Path) -> None:
    file = folder / "testing_list.txt"
    file.write_text("no/z_nohash_0.wav\n")
    refused(folder, f"{file}: names no/z_nohash_0.wav, which is not in the folder")
    file.write_text("dog/z_nohash_0.wav\n")
    refused(folder, f"{file}: names dog/z_nohash_0.wav, which is not in the folder")


def test_a_clip_in_both_lists(folder: Path) -> None:
    file = folder / "testing_list.txt"
    file.write_text(f"{VALIDATION[0]}\n")
    refused(folder, f"{file}: names {VALIDATION[0]}, which another line has")


def test_a_list_that_is_too_long(folder: Path) -> None:
    file = folder / "testing_list.txt"
    with file.open("wb") as stream:
        stream.truncate((1 << 24) + 1)
    refused(folder, f"{file}: must have at most {1 << 24} bytes, not {(1 << 24) + 1}")


def test_memory_is_bounded_before_it_is_taken(folder: Path) -> None:
    refused(folder, f"{folder}: 3 clips need 96000 bytes, more than 95999; read fewer words", max_bytes=95_999)
    assert len(load_speech_commands(folder, "train", max_bytes=96_000).labels) == 3


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"rate": 8000}, "16 bits, 1 channels and 8000 Hz"),
        ({"channels": 2}, "16 bits, 2 channels and 16000 Hz"),
        ({"sample_bytes": 1}, "8 bits, 1 channels and 16000 Hz"),
        ({"sample_bytes": 3}, "24 bits, 1 channels and 16000 Hz"),
    ],
)
def test_another_format(folder: Path, options: dict[str, int], found: str) -> None:
    write_wav(folder / CLIP, [1, 2, 3, 4], **options)
    refused(folder, f"{folder / CLIP}: must have 16 bits, 1 channel and 16000 Hz, not {found}")


@pytest.mark.parametrize("count", [0, 16_001])
def test_a_clip_of_no_or_too_many_samples(folder: Path, count: int) -> None:
    write_wav(folder / CLIP, [0] * count)
    refused(folder, f"{folder / CLIP}: must have 1 to 16000 samples, not {count}")


def test_a_clip_that_is_too_long_is_not_read(folder: Path) -> None:
    with (folder / CLIP).open("wb") as stream:
        stream.truncate(1 << 40)
    refused(folder, f"{folder / CLIP}: must have at most 65536 bytes, not {1 << 40}")


def test_a_truncated_clip(folder: Path) -> None:
    data = (folder / CLIP).read_bytes()
    (folder / CLIP).write_bytes(data[:-3])
    refused(folder, f"{folder / CLIP}: is truncated: its header announces 11889 samples, it has 11887")


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (0, "a chunk ends too early"),
        (11, "not a WAVE file"),
        (12, "fmt chunk and/or data chunk missing"),
        (30, "a chunk ends too early"),
    ],
)
def test_a_truncated_header(folder: Path, size: int, reason: str) -> None:
    data = (folder / CLIP).read_bytes()
    (folder / CLIP).write_bytes(data[:size])
    refused(folder, f"{folder / CLIP}: is not a WAV file of PCM samples: {reason}")


def test_a_chunk_of_an_impossible_size(folder: Path) -> None:
    data = (folder / CLIP).read_bytes()
    (folder / CLIP).write_bytes(data[:16] + struct.pack("<I", 1 << 31) + data[20:])
    refused(folder, f"{folder / CLIP}: is not a WAV file of PCM samples: a chunk ends too early")


def test_compressed_samples_and_other_files(folder: Path) -> None:
    data = bytearray((folder / CLIP).read_bytes())
    data[20] = 7  # μ-law
    (folder / CLIP).write_bytes(data)
    refused(folder, f"{folder / CLIP}: is not a WAV file of PCM samples: unknown format: 7")
    (folder / CLIP).write_bytes(b"ID3, of another kind of file")
    refused(folder, f"{folder / CLIP}: is not a WAV file of PCM samples: file does not start with RIFF id")


def test_a_clip_that_is_no_file(folder: Path) -> None:
    (folder / CLIP).unlink()
    os.mkfifo(folder / CLIP)  # opened, it would wait for a writer
    refused(folder, f"{folder / CLIP}: must be a file")


def test_random_damage_is_an_error_or_samples(folder: Path) -> None:
    write_wav(folder / CLIP, random_samples(0, 60))
    data = (folder / CLIP).read_bytes()
    generator = random.Random(0)
    refusals = 0
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(48)] = generator.choice((0, 1, 2, 127, 128, 255, generator.randrange(256)))
        (folder / CLIP).write_bytes(damaged)
        try:
            assert load_speech_commands(folder, "train").inputs.shape == (3, 16_000)
        except ValueError as error:
            assert str(error).startswith(f"{folder / CLIP}: ")
            refusals += 1
    assert 250 < refusals < 500
