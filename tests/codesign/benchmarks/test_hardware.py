"""The benchmarks' arithmetic, on a network small enough to run; the figures themselves are for `lockstep benchmark`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codesign.benchmarks import utilization
from codesign.benchmarks.simulation import cycles_per_second
from codesign.networks import NETWORKS, gemm, macs
from codesign.utilization import Measurement, measure, random_inputs
from emulator import AcceleratorConfig, Arithmetic

SMALL = AcceleratorConfig(rows=4, columns=4)


@pytest.fixture(scope="module")
def measured() -> Measurement:
    return measure(gemm(16, 8, 8, Arithmetic()), SMALL, 8)


def test_utilization_is_the_shapes_multiplications_over_the_cycles(measured: Measurement) -> None:
    assert measured.multiplications == macs(measured.graph) == 16 * 8 * 8 == measured.program.macs
    assert measured.utilization == 16 * 8 * 8 / (16 * measured.result.cycles) <= 1
    shares = measured.shares()
    assert set(shares) == {"LOAD", "CONVOLVE", "POST_PROCESS", "STORE", "reads", "writes"}
    assert all(0 < share <= 1 for share in shares.values())


def test_the_bound_is_what_is_busy_almost_always_or_shape_or_latency(measured: Measurement) -> None:
    cycles = measured.result.cycles
    telemetry = dict.fromkeys(measured.result.telemetry, cycles // 8)
    for counter, expected in (
        (
            {"convolve_busy": cycles, "macs": measured.multiplications},
            "the array busy for 100 % of the cycles, 100 % of its elements in use",
        ),
        (
            {"convolve_busy": cycles, "macs": 4 * measured.multiplications},
            "shape; the array busy for 100 % of the cycles, 25 % of its elements in use",
        ),
        (
            {"convolve_busy": cycles // 2, "macs": 4 * measured.multiplications // 3},
            "latency between dependent steps; the array busy for 50 % of the cycles, 75 % of its elements in use",
        ),
        ({"bytes_read": SMALL.bus_bytes * cycles}, "reads busy for 100 %"),
        ({"post_process_busy": cycles // 2}, "latency between dependent steps; post-processing busy for 50 %"),
    ):
        result = replace(measured.result, telemetry=telemetry | counter)
        assert replace(measured, result=result).bound().startswith(expected)


def test_the_accelerator_of_the_benchmark() -> None:
    config = utilization.CONFIG
    scratchpads = (
        config.activation_scratchpad_bytes
        + config.weight_scratchpad_bytes
        + config.operand_scratchpad_bytes
        + config.output_scratchpad_bytes
    )
    assert (config.rows, config.columns, config.bus_bytes, config.dataflow) == (16, 16, 16, "weight_stationary")
    assert scratchpads <= 256 << 10 and config.accumulator_bytes <= 64 << 10
    assert (config.arithmetic.accumulator_bits, utilization.LATENCY) == (32, 32)


def test_rows_of_small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utilization, "MATRICES", ((16, 16, 16),))
    monkeypatch.setattr(utilization, "SCALING_LAYER", "stack2.conv2")
    monkeypatch.setattr(utilization, "MLPERF_TINY", ("autoencoder",))
    monkeypatch.setattr(utilization, "CHANNELS", 64)
    monkeypatch.setattr(utilization, "DEPTHWISE_CYCLES", {"DS-CNN": utilization.DEPTHWISE_CYCLES["DS-CNN"]})
    network = NETWORKS["ResNet-8"](Arithmetic())
    rows = [
        *utilization._alone(network),
        *utilization._whole(network),
        *utilization._tiny(),
        *(depthwise := list(utilization._depthwise())),
        *utilization._scaling(network),
    ]
    assert [row["name"].split(":")[0] for row in rows][:2] == ["stack3.conv2", "GEMM 16×16×16"]
    assert all(set(row) == {"name", "value", "unit", "target", "holds"} for row in rows)
    assert all((row["target"] is None) == (row["holds"] is None) for row in rows)
    (same,) = [row for row in rows if "differ from the emulator" in row["name"]]
    assert same["holds"] is True
    nine, three, one, dense = depthwise
    assert nine["value"] < three["value"] < one["value"] and nine["value"] < dense["value"]
    assert dense["holds"] is True and nine["target"] == "≤ 18500"


def test_speed_is_taken_between_the_first_report_and_the_last() -> None:
    assert cycles_per_second([(10.0, 1000), (10.5, 2000), (12.0, 5000)]) == 2000
    assert cycles_per_second([(10.0, 1000)]) is None


def test_random_inputs_are_legal_and_seeded() -> None:
    graph = gemm(4, 4, 4, Arithmetic(activation_bits=3), images=0)
    first, second = random_inputs(graph), random_inputs(graph)
    assert first["input"].shape == (1, 4, 2, 2) and (first["input"] == second["input"]).all()
    assert first["input"].min() >= -4 and first["input"].max() <= 3
