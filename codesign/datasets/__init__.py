"""Data sets as NumPy arrays: of local folders in their published formats, and of installed packages."""

from __future__ import annotations

from .builtin import BUILTIN, Dataset, load_builtin
from .cifar10 import load_cifar10
from .folder import Split
from .mfcc import mfcc
from .mnist import load_mnist
from .mnist5k import load_mnist5k
from .speech_commands import KEYWORDS, load_speech_commands
from .watch import load_watch

__all__ = [
    "BUILTIN",
    "KEYWORDS",
    "Dataset",
    "Split",
    "load_builtin",
    "load_cifar10",
    "load_mnist",
    "load_mnist5k",
    "load_speech_commands",
    "load_watch",
    "mfcc",
]
