"""Accelerator: the systolic array with its lanes, units, sequencer and memory port."""

from functools import cache

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig

from .activation_lane import ActivationLane
from .column_lane import ColumnLane
from .convolve_unit import ConvolveUnit
from .hierarchy import Placed, modules
from .memory_port import MemoryPort
from .post_process_unit import PostProcessUnit
from .processing_element import ProcessingElement
from .sequencer import UNITS, Sequencer
from .systolic_array import SystolicArray
from .transfer_unit import TransferUnit


class Accelerator(wiring.Component):
    """Runs a program out of external memory.

    Members
    -------
    start : one cycle high begins a run
    program_address, memory_bytes : byte address of the first instruction; size of the memory region, constant in a run
    done : high from the end of a run to the next start
    error, error_index : `emulator.instructions.Error`; index of the last instruction that began
    cycles : cycles from the first fetch to the end of the run
    read, read_data, write : external memory, a `MemoryPort`
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.element = ProcessingElement(config.arithmetic)
        self.activation_lane = ActivationLane(config)
        self.column_lane = ColumnLane(config)
        super().__init__(
            {
                "start": In(1),
                "program_address": In(32),
                "memory_bytes": In(32),
                "done": Out(1),
                "error": Out(4),
                "error_index": Out(32),
                "cycles": Out(48),
                **MemoryPort(config.bus_bytes).members,
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.transfer = transfer = TransferUnit(config)
        m.submodules.convolve = convolve = ConvolveUnit(config)
        m.submodules.post_process = post_process = PostProcessUnit(config)
        m.submodules.array = array = SystolicArray(config.rows, config.columns, self.element)
        units = dict(zip(UNITS, (transfer, convolve, post_process), strict=True))

        for name in ("start", "program_address", "memory_bytes"):
            m.d.comb += getattr(sequencer, name).eq(getattr(self, name))
        for name in ("done", "error", "error_index", "cycles"):
            m.d.comb += getattr(self, name).eq(getattr(sequencer, name))
        m.d.comb += transfer.memory_bytes.eq(self.memory_bytes)
        for index, name in enumerate(UNITS):
            unit = units[name]
            m.d.comb += [
                unit.instruction.eq(sequencer.instruction),
                unit.start.eq(sequencer.starts[index]),
                sequencer.finished[index].eq(unit.done),
                sequencer.faults[index].eq(unit.fault),
            ]
        self._share_port(m, sequencer, transfer)
        self._rows(m, convolve, transfer, array)
        self._columns(m, sequencer, convolve, post_process, transfer, array)
        return m

    def _share_port(self, m: Module, sequencer: Sequencer, transfer: TransferUnit) -> None:
        """The port is the sequencer's while it fetches, the transfer unit's otherwise."""
        ports = sequencer.port, transfer.port
        mine = sequencer.fetching, ~sequencer.fetching
        m.d.comb += [
            self.read.valid.eq(Mux(sequencer.fetching, ports[0].read.valid, ports[1].read.valid)),
            self.read.payload.eq(Mux(sequencer.fetching, ports[0].read.payload, ports[1].read.payload)),
            self.read_data.ready.eq(1),
            self.write.valid.eq(transfer.port.write.valid),
            *(
                getattr(self.write.payload, name).eq(getattr(transfer.port.write.payload, name))
                for name in ("address", "data", "mask")
            ),
            transfer.port.write.ready.eq(self.write.ready),
        ]
        for port, own in zip(ports, mine, strict=True):
            m.d.comb += [
                port.read.ready.eq(self.read.ready & own),
                port.read_data.valid.eq(self.read_data.valid & own),
                port.read_data.payload.eq(self.read_data.payload),
            ]

    def _rows(self, m: Module, convolve: ConvolveUnit, transfer: TransferUnit, array: SystolicArray) -> None:
        """Activation lanes at the array's left edge; their control moves down."""
        control = convolve.row
        for r in range(self.config.rows):
            lane = Placed(self.activation_lane, "activation_lane", r)
            m.submodules[f"activation_lane_{r}"] = lane.instance
            m.d.comb += [
                lane.control.eq(control),
                lane.zero_point.eq(convolve.instruction.zero_point),
                lane.write.eq(transfer.activation_write[r]),
                lane.write_address.eq(transfer.write_address),
                lane.write_data.eq(transfer.write_data[r]),
                array.x[r].eq(lane.x),
                array.swap[r].eq(lane.swap),
                array.load[r].eq(lane.load),
            ]
            control = lane.control_out

    def _columns(self, m, sequencer, convolve, post_process, transfer, array) -> None:
        """Column lanes at the array's top and bottom; their control moves to the right."""
        lanes = [Placed(self.column_lane, "column_lane", c) for c in range(self.config.columns)]
        first = lanes[0].control
        executes = Signal()
        with m.If(sequencer.starts != 0):
            m.d.sync += executes.eq(sequencer.starts[UNITS.index("convolve")])
        m.d.comb += [
            first.weight_address.eq(convolve.weight_address),
            first.accumulator_address.eq(Mux(executes, convolve.sum_address, post_process.sum_address)),
            first.carry.eq(convolve.carry),
            first.sum_write.eq(convolve.sum_write),
            first.sum_address.eq(convolve.sum_write_address),
        ]
        for name in (
            "code_address",
            "pool_first",
            "pool_valid",
            "code_write",
            "code_write_address",
            "parameter_shift",
            "counter_write",
        ):
            m.d.comb += first[name].eq(getattr(post_process, name))
        for c, lane in enumerate(lanes):
            m.submodules[f"column_lane_{c}"] = lane.instance
            if c:
                m.d.comb += lane.control.eq(lanes[c - 1].control_out)
            m.d.comb += [
                lane.settings.eq(post_process.settings),
                lane.clear.eq(sequencer.clear),
                lane.weight_write.eq(transfer.weight_write[c]),
                lane.bank_write.eq(transfer.code_write[c]),
                lane.write_address.eq(transfer.write_address),
                lane.write_data.eq(transfer.write_data[c]),
                lane.store.eq(transfer.storing),
                lane.store_address.eq(transfer.code_address),
                transfer.code[c].eq(lane.code),
                array.weight[c].eq(lane.weight),
                array.sum_in[c].eq(lane.sum),
                array.overflowed_in[c].eq(lane.overflowed),
                lane.sum_in.eq(array.sum[c]),
                lane.overflowed_in.eq(array.overflowed[c]),
            ]


@cache
def accelerator_verilog(config: AcceleratorConfig) -> str:
    """The accelerator of `config` as one Verilog text; the top module is ``accelerator``."""
    top = Accelerator(config)
    return modules(
        {
            "processing_element": top.element,
            "activation_lane": top.activation_lane,
            "column_lane": top.column_lane,
            "accelerator": top,
        }
    )
