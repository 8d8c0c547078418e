"""Fixtures for every room: the simulators, with a clear reason where one is absent."""

from __future__ import annotations

from collections import Counter

import pytest

LONGEST = (
    "tests/rtl/test_accelerator.py",
    "tests/end_to_end/test_random_programs.py",
    "tests/rtl/bus/test_axi.py",
    "tests/test_notebooks.py",
    "tests/end_to_end/test_random_configs.py",
    "tests/codesign/demo/test_demo.py",
)
"""Files of few tests that take minutes: two processes end together only if these are not the last to start.

The first builds the largest array while the second builds the accelerators that other files simulate too.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=6, help="seeds of the random programs and networks (default: 6)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then those of many tests. Names of tests must not hold addresses: workers would differ."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"the test {item.nodeid} must have ids= that are the same in every process")
    files = [item.nodeid.partition("::")[0] for item in items]
    tests = Counter(files)
    places = {file: place for place, file in enumerate(LONGEST)}
    order = sorted(range(len(items)), key=lambda at: (places.get(files[at], len(places)), -tests[files[at]], files[at]))
    items[:] = [items[at] for at in order]


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """Seeds of random programs and networks: few in `make test`, a hundred in `make test-long`."""
    return range(request.config.getoption("--seeds"))


def _simulator_parameter(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.icarus) if name == "icarus" else name


@pytest.fixture(params=[_simulator_parameter(name) for name in ("verilator", "icarus")])
def simulator(request: pytest.FixtureRequest) -> str:
    """``verilator`` and ``icarus``; the second is skipped where it is not installed, the first is always needed."""
    # Not imported above: the tests of the emulator must run where nothing of the RTL is installed.
    from rtl.simulation import ToolError, find_simulator

    try:
        find_simulator(request.param)
    except ToolError as error:
        if request.param == "verilator":
            raise
        pytest.skip(str(error))
    return str(request.param)
