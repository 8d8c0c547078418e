"""Moving codes that no view can show: LOAD, REDUCE of single codes and STORE, with strides."""

from __future__ import annotations

from itertools import product

from emulator.instructions import Mode, Opcode
from emulator.program import Region

from .cut.tiling import MAP_MOST, spans
from .emitter import Emitter
from .schedule.operation import Access, Buffer, Memory, Place, Transfer
from .schedule.transfers import PIXEL_BYTES_MOST


def emit_copy(emitter: Emitter, source: Region, steps: tuple[int, ...], target: Region) -> None:
    """Copy a tensor of `target`'s shape; `steps` are the source's bytes from index to index along target's axes."""
    config = emitter.config
    axes = [axis for axis in zip(target.tensor.shape, steps, target.steps, strict=True) if axis[0] > 1]
    size = 1
    if axes and axes[-1][1:] == (1, 1):
        size = axes.pop()[0]
    axes = _merged(axes)
    while len(axes) < 2:
        axes.insert(0, (1, 0, 0))
    axes.sort(key=lambda axis: axis[0])
    *outer, lines, pixels = axes
    low, high = config.arithmetic.activation_range
    entry = emitter.uniform_parameters(1, 0)
    most = max(min(config.operand_depth // 2, config.output_depth // 2, MAP_MOST), 1)
    row_most = min(most * config.columns, PIXEL_BYTES_MOST // config.columns * config.columns)
    for indices in product(*(range(count) for count, _, _ in outer)):
        start = sum(i * step for i, (_, step, _) in zip(indices, outer, strict=True))
        end = sum(i * step for i, (_, _, step) in zip(indices, outer, strict=True))
        for piece in spans(size, row_most):
            width = -(-len(piece) // config.columns)
            pixels_most = max(most // width, 1)
            lines_most = max(most // width // pixels[0], 1)
            for some_lines in spans(lines[0], lines_most):
                for some in spans(pixels[0], pixels_most):
                    count = len(some_lines) * len(some) * width
                    operand, output = Buffer(Memory.OPERAND, count), Buffer(Memory.OUTPUT, count)
                    transfers = [
                        Transfer(
                            address + some_lines.first * lines[side] + some.first * pixels[side] + piece.first,
                            len(some_lines),
                            lines[side],
                            len(some),
                            pixels[side],
                            len(piece),
                        )
                        for side, address in ((1, source.address + start), (2, target.address + end))
                    ]
                    emitter.begin_block()
                    emitter.load(operand, transfers[0])
                    emitter.emit(
                        Opcode.REDUCE,
                        {
                            "output_height": 1,
                            "output_width": count,
                            "kernel_height": 1,
                            "kernel_width": 1,
                            "input_height": 1,
                            "input_width": count,
                            "stride_height": 1,
                            "stride_width": 1,
                            "dilation_height": 1,
                            "dilation_width": 1,
                            "pad_top": 0,
                            "pad_left": 0,
                            "pixel_rows": 1,
                            "output_stride": 1,
                            "mode": int(Mode.FIRST),
                            "input_zero_point": 0,
                            "second_zero_point": 0,
                            "zero_point": 0,
                            "y_min": low,
                            "y_max": high,
                            "add": 0,
                            "table": 0,
                            "lanes": 0,
                        },
                        {"input_row": Place(operand), "output_row": Place(output), "parameters": Place(entry)},
                        (
                            Access(entry, 0, 1, 1, 1),
                            Access(operand, 0, 1, count, count),
                            Access(output, 0, 1, count, count, write=True),
                        ),
                    )
                    emitter.store(output, transfers[1])


def _merged(axes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Adjacent axes (count, source step, target step) as one where both sides allow it."""
    merged: list[tuple[int, int, int]] = []
    for count, source, target in axes:
        if merged and merged[-1][1] == count * source and merged[-1][2] == count * target:
            merged[-1] = merged[-1][0] * count, source, target
        else:
            merged.append((count, source, target))
    return merged
