"""Front end: control registers, sequencer, completion and telemetry; the accelerator without its units and its bus."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig
from emulator.instructions import Unit
from emulator.registers import REGISTER_ADDRESS_BITS

from ..bus.axi import AXI4Lite
from ..post_processing.lane_counters import COUNTER_BYTE
from ..unit import UnitPort
from .completion import Completion
from .control_registers import ControlRegisters
from .sequencer import Sequencer
from .telemetry import Telemetry


class FrontEnd(wiring.Component):
    """Runs programs: starts the units' instructions and ends the run.

    Members
    -------
    lite, interrupt : as of `ControlRegisters`
    clear, halt : to everything that is part of a run
    halts : there will be `halt` in the next cycle
    memory_base, memory_bytes : the program's region of the bus
    request, address, length, grant, valid, data, refused : as of `Fetch`
    load, convolve, post_process, store : the units
    read, written, position : as of `Telemetry`
    lane_counters : as of `ControlRegisters`
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "lite": In(AXI4Lite(REGISTER_ADDRESS_BITS)),
                "interrupt": Out(1),
                "clear": Out(1),
                "halt": Out(1),
                "halts": Out(1),
                "memory_base": Out(32),
                "memory_bytes": Out(32),
                "request": Out(1),
                "address": Out(32),
                "length": Out(8),
                "grant": In(1),
                "valid": In(1),
                "data": In(8 * config.bus_bytes),
                "refused": In(1),
                **{unit.name.lower(): Out(UnitPort()) for unit in Unit},
                "read": In(1),
                "written": In(1),
                "position": In(1),
                "lane_counters": In(data.ArrayLayout(COUNTER_BYTE, config.columns)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = ControlRegisters(self.config)
        m.submodules.completion = completion = Completion()
        m.submodules.sequencer = sequencer = Sequencer(self.config)
        m.submodules.telemetry = telemetry = Telemetry(self.config)
        wiring.connect(m, wiring.flipped(self.lite), registers.lite)

        def give(names: str, source: object, *targets: object) -> None:
            for name in names.split():
                for target in targets:
                    m.d.comb += getattr(target, name).eq(getattr(source, name))

        give("interrupt memory_base memory_bytes", registers, self)
        give("program_address program_bytes memory_bytes", registers, sequencer)
        give("start reset", registers, completion)
        give("running resetting done failed error error_index ends clear", completion, registers)
        give("request address length", sequencer, self)
        give("grant valid data refused", self, sequencer)
        give("read written position", self, telemetry)
        give("present", sequencer, telemetry)
        # Between `Completion` and what lies all over the chip there is a register, either way.
        running, clear, halt = Signal(), Signal(), Signal()
        m.d.sync += [running.eq(completion.running), clear.eq(completion.clear), halt.eq(completion.stopping)]
        for target in (sequencer, self):
            m.d.comb += [target.clear.eq(clear), target.halt.eq(halt)]
        m.d.comb += [
            self.halts.eq(completion.stopping),
            sequencer.running.eq(running),
            sequencer.stopping.eq(completion.stopping | completion.clear),
            telemetry.clear.eq(clear),
            telemetry.running.eq(completion.running & running),
        ]
        for name in ("token_faults", "decoder_fault", "heads", "idle"):
            m.d.sync += getattr(completion, name).eq(getattr(sequencer, name))
        still = Signal()
        m.d.sync += still.eq(sequencer.still & running)  # not what the run before has left
        m.d.comb += completion.quiet.eq(still & completion.idle)
        m.d.comb += [
            registers.coming.eq(telemetry.coming),
            registers.counters.eq(telemetry.visited),
            registers.lane_counters.eq(self.lane_counters),
        ]
        for unit in Unit:
            port = getattr(self, unit.name.lower())
            wiring.connect(m, getattr(sequencer, unit.name.lower()), wiring.flipped(port))
            fault = completion.faults[unit]
            m.d.sync += [
                fault.valid.eq(port.fault),
                fault.code.eq(port.fault_code),
                fault.index.eq(port.fault_index),
            ]
            m.d.comb += telemetry.work[unit].eq(port.work)
        return m
