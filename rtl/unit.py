"""What every unit has in common: how it takes instructions, and how it says that it has ended one or cannot go on."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from emulator.front_end import INDEX_BITS
from emulator.instructions import INSTRUCTION_BITS

ERROR_BITS = 4

ISSUED = data.StructLayout({"instruction": INSTRUCTION_BITS, "index": INDEX_BITS})
"""An instruction whose tokens are there, with its index in the program."""


class UnitPort(wiring.Signature):
    """The sequencer's view of a unit.

    Members
    -------
    issued : stream of instructions, none while `halt`; a transfer starts one and consumes its tokens
    finished, signals, finished_index : for one cycle: an instruction has ended; its `signal` field and its index
    fault, fault_code, fault_index : for one cycle: an instruction cannot go on; it will never finish
    busy : from the cycle after a transfer to that of `finished`; after a fault or `halt`, until nothing is in flight
    work : the unit does work in this cycle
    halt : issue no further access; what is in flight ends by itself
    clear : a run starts: back to idle (nothing is in flight)
    """

    def __init__(self):
        super().__init__(
            {
                "issued": Out(stream.Signature(ISSUED)),
                "finished": In(1),
                "signals": In(4),
                "finished_index": In(INDEX_BITS),
                "fault": In(1),
                "fault_code": In(ERROR_BITS),
                "fault_index": In(INDEX_BITS),
                "busy": In(1),
                "work": In(1),
                "halt": Out(1),
                "clear": Out(1),
            }
        )
