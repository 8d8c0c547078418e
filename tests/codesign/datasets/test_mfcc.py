"""MFCC features against sums written out in plain Python, and against what is known of silence, sines and loudness."""

from __future__ import annotations

import cmath
import math
import re

import numpy as np
import pytest

from codesign.datasets import mfcc
from codesign.datasets.mfcc import mel_weights


def mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def direct(samples: list[int], frame: int) -> list[float]:
    """The 10 coefficients of one window, by the definitions of DFT, mel bands and DCT-II."""
    peak = max(samples)
    window = [
        samples[320 * frame + n] / peak * math.sin(math.pi * n / 480) ** 2  # a periodic Hann window
        for n in range(480)
    ]
    magnitudes = [
        abs(sum(x * cmath.exp(-2j * math.pi * k * n / 512) for n, x in enumerate(window))) for k in range(257)
    ]
    step = (mel(4000) - mel(20)) / 41
    logs = []
    for band in range(40):
        centre = mel(20) + (band + 1) * step
        weights = [max(0.0, 1 - abs(mel(k * 31.25) - centre) / step) for k in range(257)]
        logs.append(math.log(sum(w * m for w, m in zip(weights, magnitudes, strict=True)) + 1e-6))
    return [
        math.sqrt(2 / 40) * sum(x * math.cos(math.pi * k * (2 * n + 1) / 80) for n, x in enumerate(logs))
        for k in range(10)
    ]


def noise(seed: int, clips: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-32768, 32767, (clips, 16_000), np.int16, endpoint=True)


def sine(hertz: float, amplitude: float) -> np.ndarray:
    time = np.arange(16_000) / 16_000
    return np.round(amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.int16)[np.newaxis]


@pytest.mark.parametrize("waveforms", [noise(0, 2), np.concatenate([sine(440, 20_000), sine(3000, 90)])])
def test_the_definition(waveforms: np.ndarray) -> None:
    found = mfcc(waveforms)
    assert (found.dtype, found.shape) == (np.float32, (2, 1, 49, 10))
    for clip, samples in enumerate(waveforms.tolist()):
        for frame in (0, 1, 48):
            assert found[clip, 0, frame].tolist() == pytest.approx(direct(samples, frame), rel=1e-5, abs=1e-5)


def test_silence() -> None:
    found = mfcc(np.zeros((1, 16_000), np.int16))
    assert found[0, 0, :, 0].tolist() == pytest.approx([math.sqrt(2 / 40) * 40 * math.log(1e-6)] * 49)  # -123.6
    np.testing.assert_allclose(found[..., 1:], 0, atol=1e-4)


def test_a_clip_without_a_positive_sample() -> None:
    assert np.isfinite(mfcc(np.full((1, 16_000), -32768, np.int16))).all()


def test_loudness_does_not_matter() -> None:
    quiet = noise(1, 3) // 16
    np.testing.assert_allclose(mfcc(quiet * 8), mfcc(quiet), rtol=1e-5, atol=1e-4)


def test_a_sine_is_in_its_band() -> None:
    """The inverse DCT of the 10 coefficients has its peak there; band b's centre is b + 1 of 41 steps up."""
    coefficients = mfcc(sine(1000, 30_000))[0, 0, 24].astype(np.float64)
    bands = np.arange(40) + 0.5
    smooth = sum(c * math.sqrt(2 / 40) * np.cos(np.pi / 40 * bands * k) for k, c in enumerate(coefficients) if k)
    expected = (mel(1000) - mel(20)) / ((mel(4000) - mel(20)) / 41) - 1
    assert abs(int(np.argmax(smooth)) - expected) <= 2


def test_the_bands() -> None:
    weights = mel_weights()
    assert weights.shape == (257, 40)
    assert weights.min() == 0 and weights.max() <= 1
    assert not weights[0].any() and not weights[129:].any()  # 0 Hz; above 4 kHz
    step = (mel(4000) - mel(20)) / 41
    between = [k for k in range(257) if mel(20) + step <= mel(31.25 * k) <= mel(4000) - step]
    np.testing.assert_allclose(weights[between].sum(axis=1), 1)  # neighbouring triangles add up to 1


def test_clips_are_independent_of_their_batch() -> None:
    waveforms = noise(2, 130)
    found = mfcc(waveforms)
    for clip in (0, 127, 128, 129):
        np.testing.assert_allclose(found[clip], mfcc(waveforms[clip : clip + 1])[0], rtol=1e-6, atol=1e-5)
    assert mfcc(waveforms[:0]).shape == (0, 1, 49, 10)


@pytest.mark.parametrize(
    ("waveforms", "found"),
    [
        (np.zeros((1, 16_000)), "float64 (1, 16000)"),
        (np.zeros((1, 15_999), np.int16), "int16 (1, 15999)"),
        (np.zeros(16_000, np.int16), "int16 (16000,)"),
    ],
)
def test_other_arrays(waveforms: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"waveforms must be int16 (n, 16000), not {found}")):
        mfcc(waveforms)
