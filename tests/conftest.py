"""Fixtures for every room: the simulators, with a clear reason where one is absent."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=6, help="seeds of the random programs and networks (default: 6)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names of tests must not hold addresses: two workers would collect different tests."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"the test {item.nodeid} must have ids= that are the same in every process")


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
