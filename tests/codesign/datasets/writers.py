"""Small data sets in their published formats, written with struct, gzip and wave alone."""

from __future__ import annotations

import gzip
import random
import struct
import wave
from collections.abc import Sequence
from pathlib import Path

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def idx(shape: Sequence[int], data: bytes, type_code: int = 8) -> bytes:
    """An IDX file: two zero bytes, type code, rank, sizes as big-endian 32 bits, data."""
    return struct.pack(">BBBB", 0, 0, type_code, len(shape)) + b"".join(struct.pack(">i", n) for n in shape) + data


def write_mnist(folder: Path, prefix: str, images: Sequence[bytes], labels: Sequence[int], packed: bool) -> None:
    """The two files of a split; an image has 784 bytes, row by row."""
    image_file = idx((len(images), 28, 28), b"".join(images))
    label_file = idx((len(labels),), bytes(labels))
    for name, data in ((f"{prefix}-images-idx3-ubyte", image_file), (f"{prefix}-labels-idx1-ubyte", label_file)):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)


def write_cifar10(folder: Path, batches: dict[str, Sequence[tuple[int, bytes]]]) -> None:
    """`batches`: {file name: [(label, 3072 bytes of red, green, blue)]}; batches.meta.txt ends with an empty line."""
    for name, records in batches.items():
        with (folder / name).open("wb") as stream:
            for label, pixels in records:
                stream.write(struct.pack("B", label) + pixels)
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR_CLASSES) + "\n\n", encoding="ascii")


def write_wav(
    file: Path, samples: Sequence[int], *, channels: int = 1, sample_bytes: int = 2, rate: int = 16_000
) -> None:
    """A PCM file of signed 16-bit samples, or of as many bytes where `sample_bytes` is not 2."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(sample_bytes)
        target.setframerate(rate)
        data = struct.pack(f"<{len(samples)}h", *samples)
        target.writeframes(data if sample_bytes == 2 else bytes(len(samples) * channels * sample_bytes))


def write_speech_commands(
    folder: Path, clips: dict[str, Sequence[int]], validation: Sequence[str], testing: Sequence[str]
) -> None:
    """`clips`: {'word/name.wav': samples}; the lists have the names of the other two splits' clips."""
    for name, samples in clips.items():
        write_wav(folder / name, samples)
    (folder / "validation_list.txt").write_text("".join(f"{name}\n" for name in validation))
    (folder / "testing_list.txt").write_text("".join(f"{name}\n" for name in testing))


def random_bytes(seed: int, count: int) -> bytes:
    return random.Random(seed).randbytes(count)


def random_samples(seed: int, count: int) -> list[int]:
    """16-bit samples, the extremes among them."""
    generator = random.Random(seed)
    return [-32768, 32767, *(generator.randint(-32768, 32767) for _ in range(count - 2))]
