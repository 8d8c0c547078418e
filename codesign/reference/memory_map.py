"""The memory map of a program: what lies where in its memory region, in words and as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from emulator.config import AcceleratorConfig
from emulator.graph import Tensor
from emulator.instructions import COUNTER_ROWS
from emulator.program import CounterBlock, Program, Region


@dataclass(frozen=True)
class Span:
    """Bytes of the memory region.

    kind : ``program``, ``input``, ``layer``, ``counters`` or ``constants`` (weights, parameters, tables, unused bytes)
    address, size : byte offset in the region, bytes from the first to the last
    outputs : names under which the model shows this tensor
    tensor : what lies there, if it is a tensor
    strides : bytes from index to index along each axis of the tensor
    planes : 0: codes; n: sums of n bytes, as in `Region`
    """

    kind: str
    name: str
    address: int
    size: int
    outputs: tuple[str, ...] = ()
    tensor: Tensor | None = None
    strides: tuple[int, ...] = ()
    planes: int = 0
    block: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        made: dict[str, Any] = {"kind": self.kind, "name": self.name, "address": self.address, "bytes": self.size}
        if self.tensor is not None:
            made |= {
                "shape": list(self.tensor.shape),
                "strides": list(self.strides),
                "scale": float(self.tensor.scale),
                "zero_point": self.tensor.zero_point,
                "smallest_code": self.tensor.y_min,
                "largest_code": self.tensor.y_max,
                "outputs": list(self.outputs),
            }
            if self.planes:
                made["sum_bytes"] = self.planes
            if self.block:
                made["block_channels"] = self.block
        return made


_SUMS_TEXT = (
    "A sum of several bytes lies in as many planes: the lowest byte of every sum, as codes would lie, then the next",
    "one of every sum, and so on; the highest has the sign.",
)


def spans(program: Program) -> list[Span]:
    """Everything in the region, by address; together the spans cover it, and some tensors share their bytes."""
    shown: dict[str, tuple[str, ...]] = {}
    for output, layer in program.outputs.items():
        shown[layer] = (*shown.get(layer, ()), output)
    found = [Span("program", "program", program.program_address, program.program_bytes)]
    for kind, regions in (("input", program.inputs), ("layer", program.tensors)):
        for name, region in regions.items():
            if name not in program.inputs or kind == "input":
                place = (region.address, region.size, shown.get(name, ()), region.tensor, region.steps)
                found.append(Span(kind, name, *place, region.planes, region.block))
    found += [
        Span("counters", _counted(number, block), block.address, COUNTER_ROWS * program.columns)
        for number, block in enumerate(program.counters, 1)
    ]
    found.sort(key=lambda span: (span.address, span.size))
    covered, gaps = 0, []
    for span in [*found, Span("", "", program.memory_bytes, 0)]:
        if span.address > covered:
            gaps.append(Span("constants", "constants or unused", covered, span.address - covered))
        covered = max(covered, span.address + span.size)
    return sorted([*found, *gaps], key=lambda span: (span.address, span.size))


def memory_map_dict(program: Program, config: AcceleratorConfig) -> dict[str, Any]:
    """``memory_map.json``."""
    return {
        "memory_bytes": program.memory_bytes,
        "config": config.as_dict(),
        "config_hash": program.config_hash,
        "macs": program.macs,
        "spans": [span.as_dict() for span in spans(program)],
        "instructions": _instruction_runs(program),
    }


def _instruction_runs(program: Program) -> list[dict[str, Any]]:
    """Instructions that follow each other and serve one layer; a layer has several runs where LOADs go ahead."""
    found: list[dict[str, Any]] = []
    for layer, run in groupby(program.layers):
        first = found[-1]["first"] + found[-1]["count"] if found else 0
        found.append({"layer": layer, "first": first, "count": len(list(run))})
    return found


def memory_map_text(program: Program, config: AcceleratorConfig, model: str) -> str:
    """``memory_map.txt``."""
    arithmetic = config.arithmetic
    every = spans(program)
    lines = [
        f"Memory map of {model}, compiled for {config.rows}×{config.columns} elements, {config.dataflow},",
        f"{arithmetic.accumulator_bits}-bit accumulator ({arithmetic.overflow}), a bus of {config.bus_bytes} bytes;",
        f"config hash {program.config_hash}.",
        "",
        f"The memory region has {program.memory_bytes} bytes and begins at a multiple of 4096 on the bus, which the",
        "register memory_base names. Before the first run, image.bin is written to its beginning: it holds the program",
        "and all constants. program.bin is the program alone; it lies in image.bin already. Addresses below are byte",
        "offsets in the region.",
        "",
        "A code is one signed byte. A map lies line by line, pixel by pixel, channels fastest (NHWC), without gaps but",
        "where other distances from line to line, pixel to pixel and channel to channel are given.",
        "The real value of a code is (code − zero point) · scale. Where the model has unsigned codes, the code here is",
        "theirs less 128, and so is the zero point.",
        *(_SUMS_TEXT if any(span.planes for span in every) else ()),
        *_host_text(program),
        "",
        "For each run: write the inputs' codes to their places, then do what registers.txt says; after the interrupt,",
        "read the outputs. A run writes layers and counters only, so the image need not be written again.",
        "",
        *(_counters_text(program) if program.counters else ()),
        "Inputs",
        *(_tensor_line(span) for span in every if span.kind == "input"),
        "",
        "Outputs",
        *(_tensor_line(span, " and ".join(span.outputs)) for span in every if span.outputs),
        "",
        "All of the region, by address",
        "  from       to          bytes        what",
    ]
    lines += [
        f"  {span.address:#010x} {span.address + span.size - 1:#010x}  {span.size:<11}  {_what(span)}" for span in every
    ]
    return "\n".join(lines) + "\n"


def _counters_text(program: Program) -> tuple[str, ...]:
    return (
        f"A block of counters has {COUNTER_ROWS} rows of {program.columns} bytes, a byte per column lane in each row:",
        "four rows count overflowed sums, four clipped outputs, four clipped sums of the adder, lowest byte first. The",
        "channels named with a block are its lanes from lane 0 on. All count from the start of the run, and blocks are",
        "written in the order of their numbers: what a block's channels counted is its bytes less those of the block",
        "before, lane by lane.",
        "",
    )


def _host_text(program: Program) -> tuple[str, ...]:
    """What the host has to compute by itself."""
    parts = [("in front of the inputs", program.head), ("behind the outputs", program.tail)]
    return tuple(
        f"The host computes {where} what makes {', '.join(part.outputs)} of {', '.join(part.inputs)}."
        for where, part in parts
        if part is not None
    )


def _tensor_line(span: Span, name: str | None = None) -> str:
    tensor = span.tensor
    assert tensor is not None
    if span.planes:
        return f"  {name or span.name}: {span.size} bytes at {span.address:#x}; {_shape(span)}"
    return (
        f"  {name or span.name}: {span.size} bytes at {span.address:#x}; {_shape(span)}; scale {tensor.scale!r}, "
        f"zero point {tensor.zero_point}, codes {tensor.y_min} to {tensor.y_max}"
    )


def _what(span: Span) -> str:
    if span.kind == "counters":
        return f"counters of {span.name}"
    if span.tensor is None:
        return span.name
    if span.planes:
        return f"{span.kind} {span.name}: {_shape(span)}"
    return f"{span.kind} {span.name}: {_shape(span)}, scale {span.tensor.scale!r}, zero {span.tensor.zero_point}"


def _counted(number: int, block: CounterBlock) -> str:
    """The layers and channels of a block of counters, and its place among all of them."""
    names = " and ".join(name for name in (block.layer, block.adder) if name)
    first, total = block.channel, block.layer_channels
    if first + block.channels <= total:
        return f"{names}, channels {first} to {first + block.channels - 1}, block {number}"
    channels = f"channels {first % total} to {(first + block.channels - 1) % total}"
    return f"{names}, {block.channels} lanes of {channels} of neighbouring pixels, block {number}"


def _shape(span: Span) -> str:
    tensor = span.tensor
    assert tensor is not None
    if len(tensor.shape) == 3:
        height, width, channels = tensor.shape
        text = f"{height} lines × {width} pixels × {channels} channels"
    elif len(tensor.shape) == 2:
        text = f"{tensor.shape[0]} pixels × {tensor.shape[1]} channels"
    else:
        text = " × ".join(map(str, tensor.shape)) + " codes"
    if span.planes:
        text = f"{text.removesuffix(' codes')}, sums of {span.planes} bytes"
    if span.block:
        return f"{text}, {span.block} channels of all pixels after the other"
    if not Region(span.address, tensor, span.strides).contiguous:
        text += f" at distances of {', '.join(map(str, span.strides))} bytes"
    return text
