"""Memory port: three streams between the accelerator and its external memory, in words of `bus_bytes` bytes."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

ADDRESS_BITS = 32


class MemoryPort(wiring.Signature):
    """Reads are answered in order; a write is done when it is accepted, and later reads see it.

    Members
    -------
    read_address : word address of a read
    read_data : the word; byte 0 in bits 0–7
    write : word address, word, and a mask of the bytes to write
    """

    def __init__(self, bus_bytes: int):
        write = data.StructLayout({"address": ADDRESS_BITS, "data": 8 * bus_bytes, "mask": bus_bytes})
        super().__init__(
            {
                "read_address": Out(stream.Signature(ADDRESS_BITS)),
                "read_data": In(stream.Signature(8 * bus_bytes)),
                "write": Out(stream.Signature(write)),
            }
        )
