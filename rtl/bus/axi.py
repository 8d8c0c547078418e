"""AXI4 and AXI4-Lite, as wiring signatures seen from the master."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

INCREMENTING = 1
"""The burst type INCR."""


class AXI4(wiring.Signature):
    """A master's full AXI4: one read and one write channel, identifiers of one bit.

    data_bits : 8 to 1024, a power of two
    """

    def __init__(self, data_bits: int, address_bits: int = 32):
        exact_log2(data_bits)
        address = {"id": 1, "addr": address_bits, "len": 8, "size": 3, "burst": 2, "valid": 1}
        super().__init__(
            {
                **{f"aw{name}": Out(bits) for name, bits in address.items()},
                "awready": In(1),
                "wdata": Out(data_bits),
                "wstrb": Out(data_bits // 8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                **{f"ar{name}": Out(bits) for name, bits in address.items()},
                "arready": In(1),
                "rid": In(1),
                "rdata": In(data_bits),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AXI4Lite(wiring.Signature):
    """A master's AXI4-Lite with 32 data bits."""

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )
