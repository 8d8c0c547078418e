"""Sequencer: fetch, decoder, the units' queues and their tokens."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig
from emulator.instructions import Error, Unit

from ..unit import UnitPort
from .completion import FAULT, UNITS
from .decoder import Decoder
from .fetch import Fetch
from .issue_queue import IssueQueue
from .tokens import Tokens


class Sequencer(wiring.Component):
    """Starts each unit's instructions in program order, when their tokens are there.

    Members
    -------
    running, clear, halt : `running`, `clear` and `stopping` of `Completion`, a cycle later
    stopping : from a cycle before `halt`, and before a run: issue nothing from the next cycle on
    program_address, program_bytes, memory_bytes : where the program lies
    request, address, length, grant, valid, data, refused : as of `Fetch`
    load, convolve, post_process, store : the units
    token_faults, decoder_fault, heads, idle : as of `Completion`
    still : nothing moves, and nothing is left to decode or to make room for
    present : bit u: unit u has an instruction, in its queue or under way
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "running": In(1),
                "clear": In(1),
                "halt": In(1),
                "stopping": In(1),
                "program_address": In(32),
                "program_bytes": In(32),
                "memory_bytes": In(32),
                "request": Out(1),
                "address": Out(32),
                "length": Out(8),
                "grant": In(1),
                "valid": In(1),
                "data": In(8 * config.bus_bytes),
                "refused": In(1),
                **{unit.name.lower(): Out(UnitPort()) for unit in Unit},
                "token_faults": Out(data.ArrayLayout(FAULT, UNITS)),
                "decoder_fault": Out(FAULT),
                "heads": Out(data.ArrayLayout(FAULT, UNITS)),
                "idle": Out(1),
                "still": Out(1),
                "present": Out(UNITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = Fetch(self.config)
        m.submodules.decoder = decoder = Decoder(self.config)
        m.submodules.tokens = tokens = Tokens()
        for name in ("clear", "program_address", "program_bytes", "memory_bytes", "grant", "valid", "data", "refused"):
            m.d.comb += getattr(fetch, name).eq(getattr(self, name))
        for name in ("request", "address", "length"):
            m.d.comb += getattr(self, name).eq(getattr(fetch, name))
        for name in ("available", "word", "word_refused", "exhausted", "end_error"):
            m.d.comb += getattr(decoder, name).eq(getattr(fetch, name))
        m.d.comb += [
            fetch.take.eq(decoder.take),
            fetch.stop.eq(self.halt | decoder.ended | ~self.running),
            decoder.clear.eq(self.clear),
            decoder.halt.eq(self.halt),
            tokens.clear.eq(self.clear),
        ]
        busy, moving = [], []
        for unit in Unit:
            m.submodules[f"{unit.name.lower()}_queue"] = queue = IssueQueue(unit)
            port = getattr(self, unit.name.lower())
            wiring.connect(m, queue.issued, wiring.flipped(port.issued))
            m.d.comb += [
                queue.clear.eq(self.clear),
                queue.stopping.eq(self.stopping),  # what a stopped run has left is not issued
                queue.early.eq(decoder.early),
                queue.push.eq(decoder.push[unit]),
                queue.instruction.eq(decoder.instruction),
                queue.index.eq(decoder.index),
                queue.available.eq(tokens.available[unit]),
                decoder.full[unit].eq(queue.full),
                tokens.taken[unit].eq(port.issued.valid & port.issued.ready),
                tokens.consumes[unit].eq(queue.consumes),
                tokens.finished[unit].eq(port.finished),
                tokens.signals[unit].eq(port.signals),
                tokens.finished_index[unit].eq(port.finished_index),
                port.halt.eq(self.halt),
                port.clear.eq(self.clear),
                self.present[unit].eq(queue.present | port.busy),
                self.token_faults[unit].valid.eq(tokens.fault[unit]),
                self.token_faults[unit].code.eq(Error.TOKEN),
                self.token_faults[unit].index.eq(tokens.fault_index[unit]),
                self.heads[unit].valid.eq(queue.valid),
                self.heads[unit].code.eq(Error.DEADLOCK),
                self.heads[unit].index.eq(queue.head_index),
            ]
            busy.append(port.busy)
            moving.append(port.finished | queue.eligible | queue.moving)
        m.d.comb += [
            self.decoder_fault.valid.eq(decoder.fault),
            self.decoder_fault.code.eq(decoder.fault_code),
            self.decoder_fault.index.eq(decoder.fault_index),
            self.idle.eq(~Cat(busy).any() & fetch.idle),
            self.still.eq(~Cat(moving).any() & (decoder.ended | decoder.blocked)),
        ]
        return m
