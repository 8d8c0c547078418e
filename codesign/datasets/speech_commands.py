"""Speech Commands v0.02: spoken words, one second each."""

from __future__ import annotations

import io
import re
import struct
import wave
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .folder import Split, check_split, find_files, listed, read_file

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
SPLITS = ("train", *LISTS)
WANTED = f"Speech Commands is read from {listed(LISTS.values())} beside one folder of WAV files for each word"
KEYWORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
"""The ten words that MLPerf Tiny's keyword spotting tells apart, in its order."""
SAMPLE_RATE = 16_000
SAMPLES = SAMPLE_RATE
MAX_BYTES = 1 << 32
"""Most bytes of all waveforms together; those of 'train' have 2.7 GB."""
MAX_CLIP_BYTES = 1 << 16
MAX_LIST_BYTES = 1 << 24
LINE = re.compile(r"[^/]+/[^/]+\.wav")


def load_speech_commands(
    folder: str | PathLike[str], split: str, words: Sequence[str] | None = None, *, max_bytes: int = MAX_BYTES
) -> Split:
    """The clips of `split`, 'train' (84 843), 'validation' (9981) or 'test' (11 005), sorted by word, then by name.

    inputs : int16 (n, 16000), one second at 16 kHz; zeros follow a clip that is shorter
    folder : holds validation_list.txt and testing_list.txt, whose lines are ``word/clip.wav`` and which define the
             splits, and a folder for each word, of 16-bit mono WAV files at 16 kHz. Folders whose names begin with
             '_' or '.' are no words: ``_background_noise_`` is left out.
    words  : the words to read, which are then the classes, in this order; all in alphabetical order if None
    Raises ``FileNotFoundError`` saying what is expected where something is missing, and ``ValueError`` naming a file
    that is truncated, too long or of another format. Sizes are checked before anything is allocated. Format: Warden,
    "Speech Commands", arXiv:1804.03209, section 5, and the data set's README.md.
    """
    check_split(split, SPLITS)
    root = Path(folder)
    lists = find_files(root, tuple(LISTS.values()), WANTED)
    classes = _classes(root, words)
    clips = {f"{word}/{file.name}": label for label, word in enumerate(classes) for file in _wav_files(root / word)}
    split_of: dict[str, str] = {}
    for name, file in zip(LISTS, lists, strict=True):
        for clip in _listed_clips(file):
            if clip in split_of:
                raise ValueError(f"{file}: names {clip}, which another line has")
            if clip not in clips and (words is None or clip.partition("/")[0] in words):
                raise ValueError(f"{file}: names {clip}, which is not in the folder")
            split_of[clip] = name
    chosen = [clip for clip in clips if split_of.get(clip, "train") == split]
    if not chosen:
        raise ValueError(f"{root}: holds no clip of the {split!r} split of {listed(classes)}")
    needed = len(chosen) * SAMPLES * 2
    if needed > max_bytes:
        raise ValueError(f"{root}: {len(chosen)} clips need {needed} bytes, more than {max_bytes}; read fewer words")
    waveforms = np.zeros((len(chosen), SAMPLES), np.int16)
    for waveform, clip in zip(waveforms, chosen, strict=True):
        samples = _read_clip(root / clip)
        waveform[: len(samples)] = samples
    return Split(waveforms, np.array([clips[clip] for clip in chosen], np.int64), classes)


def _classes(root: Path, words: Sequence[str] | None) -> tuple[str, ...]:
    """The words to read, in the order of their labels."""
    held = sorted(entry.name for entry in root.iterdir() if entry.name[0] not in "_." and entry.is_dir())
    chosen = tuple(held if words is None else words)
    if not chosen:
        raise FileNotFoundError(2, f"there is no folder of a word in this folder; {WANTED}", str(root))
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"words must differ, not {listed(chosen)}")
    for word in chosen:
        if word not in held:
            raise FileNotFoundError(2, f"there is no folder of the word {word!r} in this folder; {WANTED}", str(root))
    return chosen


def _wav_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix == ".wav")


def _listed_clips(file: Path) -> list[str]:
    """The lines 'word/clip.wav' of a list."""
    lines = read_file(file, MAX_LIST_BYTES).decode("utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not LINE.fullmatch(line):
            raise ValueError(f"{file}: line {number} must be like yes/clip.wav, not {line[:80]!r}")
    return lines


def _read_clip(file: Path) -> NDArray[np.int16]:
    """The samples of a WAV file, 1 to 16 000."""
    data = read_file(file, MAX_CLIP_BYTES)
    try:
        with wave.open(io.BytesIO(data)) as clip:
            channels, sample_bytes, rate, count, *_ = clip.getparams()
            held = clip.readframes(count)
    except (wave.Error, EOFError, struct.error, RuntimeError) as error:  # RuntimeError: a chunk of an impossible size
        raise ValueError(
            f"{file}: is not a WAV file of PCM samples: {str(error) or 'a chunk ends too early'}"
        ) from None
    if (channels, sample_bytes, rate) != (1, 2, SAMPLE_RATE):
        found = f"{8 * sample_bytes} bits, {channels} channels and {rate} Hz"
        raise ValueError(f"{file}: must have 16 bits, 1 channel and {SAMPLE_RATE} Hz, not {found}")
    if not 1 <= count <= SAMPLES:
        raise ValueError(f"{file}: must have 1 to {SAMPLES} samples, not {count}")
    if len(held) != 2 * count:
        raise ValueError(f"{file}: is truncated: its header announces {count} samples, it has {len(held) // 2}")
    return np.frombuffer(held, np.int16)
