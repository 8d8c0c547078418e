"""Memory port: three streams between the accelerator and its external memory, in words of `bus_bytes` bytes."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

ADDRESS_BITS = 32


class MemoryPort(wiring.Signature):
    """Reads are answered in order; a write is done when it is accepted, and later reads see it.

    Members
    -------
    read : word address of a read
    read_data : the word; byte 0 in bits 0–7
    write : word address, word, and a mask of the bytes to write, with the handshake of a stream
    """

    def __init__(self, bus_bytes: int):
        write = wiring.Signature(
            {
                "valid": Out(1),
                "ready": In(1),
                "payload": Out(
                    wiring.Signature({"address": Out(ADDRESS_BITS), "data": Out(8 * bus_bytes), "mask": Out(bus_bytes)})
                ),
            }
        )
        super().__init__(
            {
                "read": Out(stream.Signature(ADDRESS_BITS)),
                "read_data": In(stream.Signature(8 * bus_bytes)),
                "write": Out(write),
            }
        )
