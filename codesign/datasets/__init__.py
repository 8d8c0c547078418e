"""Data sets from local folders in their published formats: ``load(folder, split)`` gives a `Split` of NumPy arrays."""

from __future__ import annotations

from .cifar10 import load_cifar10
from .folder import Split
from .mfcc import mfcc
from .mnist import load_mnist
from .speech_commands import KEYWORDS, load_speech_commands

__all__ = ["KEYWORDS", "Split", "load_cifar10", "load_mnist", "load_speech_commands", "mfcc"]
