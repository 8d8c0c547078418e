"""Mel-frequency cepstral coefficients: what MLPerf Tiny's keyword spotting network, DS-CNN, gets to see of a waveform.

In floating point, on the host. Parameters: MLPerf Tiny, training/keyword_spotting/get_dataset.py and kws_util.py, with
a window of 30 ms every 20 ms. Mel scale and DCT: HTK, Young et al., "The HTK Book", chapter 5, in the variant of
TensorFlow's tf.signal.linear_to_mel_weight_matrix and mfccs_from_log_mel_spectrograms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .speech_commands import SAMPLE_RATE, SAMPLES

WINDOW = 480
STEP = 320
FRAMES = 1 + (SAMPLES - WINDOW) // STEP
FFT_LENGTH = 512
BANDS = 40
LOWEST_HERTZ, HIGHEST_HERTZ = 20.0, 4000.0
FLOOR = 1e-6
"""Added to a band's magnitude, whose logarithm is taken."""
COEFFICIENTS = 10
CLIPS_AT_ONCE = 128
"""Their windows need 25 MB in float64."""


def mfcc(waveforms: NDArray[np.int16]) -> NDArray[np.float32]:
    """The features of clips: float32 (n, 1, 49, 10), axes clip, channel, time, coefficient.

    Each clip is divided by its greatest sample; one that has none above zero stays as it is. Windows of 480 samples
    (periodic Hann) every 320, DFT of 512 with zeros at the end, magnitudes into 40 triangular bands from 20 to 4000 Hz,
    natural logarithm, DCT-II times √(2/40), the first 10 coefficients.

    waveforms : int16 (n, 16000), at 16 kHz
    Raises ``ValueError`` for another dtype or shape.
    """
    if waveforms.dtype != np.int16 or waveforms.ndim != 2 or waveforms.shape[1] != SAMPLES:
        raise ValueError(f"waveforms must be int16 (n, {SAMPLES}), not {waveforms.dtype} {waveforms.shape}")
    features = np.empty((len(waveforms), 1, FRAMES, COEFFICIENTS), np.float32)
    for start in range(0, len(waveforms), CLIPS_AT_ONCE):
        features[start : start + CLIPS_AT_ONCE, 0] = _features(waveforms[start : start + CLIPS_AT_ONCE])
    return features


def _features(waveforms: NDArray[np.int16]) -> NDArray[np.float64]:
    scaled = waveforms / np.maximum(waveforms.max(axis=1, keepdims=True), 1)
    windows = np.lib.stride_tricks.sliding_window_view(scaled, WINDOW, axis=1)[:, ::STEP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    magnitudes = np.abs(np.fft.rfft(windows * hann, FFT_LENGTH))
    return np.log(magnitudes @ mel_weights() + FLOOR) @ dct_weights()


def mel_weights() -> NDArray[np.float64]:
    """(257, 40): what each DFT bin, 0 to 8 kHz, gives to each band: triangles of height 1 on the mel scale."""
    bins = _mel(np.fft.rfftfreq(FFT_LENGTH, 1 / SAMPLE_RATE))[:, np.newaxis]
    lowest, highest = _mel(np.array([LOWEST_HERTZ, HIGHEST_HERTZ]))
    edges = np.linspace(lowest, highest, BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    return triangles.clip(min=0)


def dct_weights() -> NDArray[np.float64]:
    """(40, 10): the first columns of the DCT-II, √(2/40) · cos(π/40 · (band + ½) · coefficient)."""
    bands = np.arange(BANDS)[:, np.newaxis] + 0.5
    return np.sqrt(2 / BANDS) * np.cos(np.pi / BANDS * bands * np.arange(COEFFICIENTS))


def _mel(hertz: NDArray[np.floating]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(hertz / 700.0)
