"""What a study can minimize, maximize or bound: names, units, better direction, and what must be computed for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A quantity of a point.

    better : ``minimize`` or ``maximize``: the direction that an objective has unless the study says otherwise
    needs : the kinds of work behind it: ``train``, ``run``, ``area``, ``clock``, ``asic``
    doc : what it is, for the reference and the page
    """

    name: str
    unit: str
    better: str
    needs: tuple[str, ...]
    doc: str


_ALL = (
    Measure(
        "accuracy", "share", "maximize", ("train",), "of the validation data, 0 to 1, by the point's own arithmetic"
    ),
    Measure(
        "weight_bytes", "bytes", "minimize", ("train",), "of all weights' codes, each layer's packed to whole bytes"
    ),
    Measure("cycles", "cycles", "minimize", ("run",), "of one sample, the machine's and the RTL's"),
    Measure("utilization", "share", "maximize", ("run",), "multiplications / (cycles × rows × columns)"),
    Measure("latency_us", "µs", "minimize", ("run", "clock"), "of one sample, cycles / clock"),
    Measure("bytes_moved", "bytes", "minimize", ("run",), "on the bus for one sample, both directions"),
    Measure("memory_bytes", "bytes", "minimize", ("run",), "of external memory that the program declares"),
    Measure("scratchpad_bytes", "bytes", "minimize", (), "of scratchpads and accumulators on the chip"),
    Measure("program_bytes", "bytes", "minimize", ("run",), "of instructions"),
    Measure("energy_uj", "µJ", "minimize", ("run",), "of one sample: exact accesses times a table of energies"),
    Measure("luts", "LUTs", "minimize", ("area",), "of the FPGA"),
    Measure("ffs", "FFs", "minimize", ("area",), "flip-flops of the FPGA"),
    Measure("dsps", "DSPs", "minimize", ("area",), "multiplier blocks of the FPGA"),
    Measure("brams", "BRAMs", "minimize", ("area",), "memory blocks of the FPGA"),
    Measure("clock_mhz", "MHz", "maximize", ("clock",), "of the placed FPGA design, or the study's own figure"),
    Measure("fits", "", "maximize", ("area",), "1 where the device has all the resources, else 0"),
    Measure("asic_area", "µm²", "minimize", ("asic",), "of the standard cells, memories left out"),
    Measure("asic_delay_ns", "ns", "minimize", ("asic",), "of the longest path between registers"),
)
MEASURES = {measure.name: measure for measure in _ALL}
