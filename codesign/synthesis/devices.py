"""FPGAs and what they have, to say whether an accelerator fits."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.arithmetic import check_choice

DEVICES: dict[str, dict[str, int]] = {
    "LFE5U-25F": {"LUTs": 24_288, "FFs": 24_288, "BRAMs": 56, "DSPs": 28},
    "LFE5U-45F": {"LUTs": 43_848, "FFs": 43_848, "BRAMs": 108, "DSPs": 72},
    "LFE5U-85F": {"LUTs": 83_640, "FFs": 83_640, "BRAMs": 208, "DSPs": 156},
}
"""Device → how many it has, as nextpnr's database of the chips counts them (Project Trellis)."""
PACKED = 1.12
"""LUT sites that nextpnr takes for each LUT that `synthesize_area` counts: 1.11 where both were run. A carry chain
takes more sites than it has bits, and what is placed is mapped for the clock."""


def missing(resources: Mapping[str, int], device: str) -> dict[str, int]:
    """{resource: how many more of it a device would need}; empty where the accelerator fits.

    resources : as synthesized or predicted, not placed
    """
    check_choice("device", device, tuple(DEVICES))
    needed = {name: round(count * PACKED) if name == "LUTs" else count for name, count in resources.items()}
    return {name: needed[name] - there for name, there in DEVICES[device].items() if needed[name] > there}


def fits(resources: Mapping[str, int], device: str) -> bool:
    """Whether a device has all that an accelerator needs; the router may still not come to an end on a full one."""
    return not missing(resources, device)
