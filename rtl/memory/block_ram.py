"""Block RAM: a memory that a synthesizer can put into one."""

from amaranth.hdl import ShapeLike
from amaranth.lib.memory import Memory


def block_ram(shape: ShapeLike, depth: int, always: bool = False) -> Memory:
    """A memory for synchronous reads, of at least two rows: one of a single row would have no address.

    always : in a block RAM however few its rows are, not where a synthesizer finds it cheapest

    A row that is read in the cycle in which it is written gives its old value in simulation, and any value in a block
    RAM: synthesizers may leave out the comparators and multiplexers that would give the old one there. Only what a
    program does not wait for is ever read so, and what is not needed.
    """
    attributes: dict[str, object] = {"no_rw_check": 1, **({"ram_style": "block"} if always else {})}
    return Memory(shape=shape, depth=max(depth, 2), init=[], attrs=attributes)
