"""Assembly: the emitted operations become a `Program`: ordered, placed, synchronized, encoded, in a memory image."""

from __future__ import annotations

from emulator.graph import ConstantTensor, Pad
from emulator.instructions import Instruction, Opcode
from emulator.program import Program

from .compile_error import CompileError
from .emitter import Emitter
from .schedule.clock import times
from .schedule.interleave import interleave
from .schedule.operation import Operation, depths
from .schedule.schedule import NoRoomError, schedule
from .schedule.synchronize import synchronize


def assemble(emitter: Emitter, macs: int) -> Program:
    """The program of all that was emitted; in its memory the data come first, then the instructions."""
    emitter.store_counters()
    sizes = depths(emitter.config)
    try:
        order = _ordered(emitter)
    except NoRoomError as error:
        raise CompileError(
            f"layer {emitter.layers[error.layer]!r}: it needs {error.rows} more rows of the "
            f"{error.memory.name.lower()} memory than there are"
        ) from None
    synchronize(order, sizes, emitter.size)
    instructions, code = _encoded(emitter, order)
    program_address = emitter.reserve(len(code))
    graph, regions = emitter.graph, emitter.placement.regions
    return Program(
        config_hash=emitter.config.hash(),
        instructions=instructions,
        image=_image(emitter, program_address, code),
        inputs={tensor.name: regions[tensor.name] for tensor in graph.inputs},
        tensors={node.name: regions[node.name] for node in graph.nodes if node.name in regions},
        outputs=dict(graph.outputs),
        counters=tuple(block for operation in order for block in emitter.counters.get(operation, ())),
        columns=emitter.config.columns,
        program_address=program_address,
        macs=macs,
        head=graph.head,
        tail=graph.tail,
        layers=(*(emitter.stored[operation.layer] for operation in order), ""),
    )


def _ordered(emitter: Emitter) -> list[Operation]:
    """The operations in program order; layers that do not fit beside others run alone."""
    config, size = emitter.config, emitter.size
    sizes, apart = depths(config), set[int]()
    while True:
        try:
            order = interleave(emitter.operations, config, size, apart)
            return schedule(order, sizes, size, times(order, config))
        except NoRoomError as error:
            if error.layer in apart:
                raise
            apart.add(error.layer)


def _encoded(emitter: Emitter, order: list[Operation]) -> tuple[tuple[Instruction, ...], bytes]:
    """The instructions, HALT behind them, and their bytes."""
    instructions, codes = [], []
    for operation in order:
        made = operation.instruction()
        try:
            codes.append(made.encode())
        except ValueError as error:
            layer = emitter.layers[operation.layer]
            raise CompileError(f"layer {layer!r} does not fit the instruction set: {error}") from None
        instructions.append(made)
    instructions.append(Instruction(Opcode.HALT, {}))
    return tuple(instructions), b"".join([*codes, instructions[-1].encode()])


def _image(emitter: Emitter, program_address: int, code: bytes) -> bytes:
    """External memory before a run: constants, the program, and what no instruction ever writes."""
    image = bytearray(emitter.size)
    for address, data in (*emitter.constants, (program_address, code)):
        image[address : address + len(data)] = data
    _fill_tensors(emitter, image)
    return bytes(image)


def _fill_tensors(emitter: Emitter, image: bytearray) -> None:
    """The zero point around the codes of maps, and constant tensors."""
    for name in emitter.placement.borders:
        address, size = emitter.placement.surroundings(name)
        image[address : address + size] = bytes([emitter.region(name).tensor.zero_point & 255]) * size
    for node in emitter.graph.nodes:
        if isinstance(node, Pad):
            emitter.region(node.name).view(image)[...] = node.zero_point
    for node in emitter.graph.nodes:
        if isinstance(node, ConstantTensor):
            emitter.region(node.name).view(image)[...] = node.codes
