"""What a DEPTHWISE uses: rows of codes, words of weights, sums that wait, products of the lanes' steps."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.config import AcceleratorConfig
from emulator.depthwise_segments import STREAM_TAPS, DepthwiseSegment, depthwise_segments, segment_size, strips

from .windows import steps_inside


def depthwise_accesses(fields: Mapping[str, int], config: AcceleratorConfig) -> dict[str, int]:
    """Counts of `ACCESSES`, its fetch left out."""
    taps = config.depthwise_taps
    segments = depthwise_segments(fields["kernel_height"], fields["kernel_width"], fields["dilation_width"], taps)
    outputs = fields["output_height"] * fields["output_width"]
    visits = fields["output_height"] * sum(strips(fields["output_width"], len(segments)).values())
    results = outputs * (1 - fields["keep"])
    # Where a line of more than STREAM_TAPS pixels passes all steps, each copy of the scratchpad reads its codes.
    columns = segment_size(taps, fields["kernel_width"], fields["dilation_width"])[1]
    copies = taps // STREAM_TAPS if columns == taps > STREAM_TAPS else 1
    return {
        "operand_reads": copies * sum(_reads(fields, one, len(segments)) for one in segments),
        "output_writes": results,
        "bias_reads": 1,
        "multiplier_reads": 1,
        "zero_point_reads": int(config.weight_zero_points),
        "table_reads": results * fields["table"],
        "requantizations": results * config.columns,
        "depthwise_reads": visits * len(segments),
        "waiting_writes": outputs * (len(segments) - 1 + fields["keep"]),
        "waiting_reads": outputs * (len(segments) - 1 + fields["carry"]),
        "depthwise_macs": outputs * len(segments) * taps * config.columns,
    }


def _reads(fields: Mapping[str, int], segment: DepthwiseSegment, segments: int) -> int:
    """Codes of a segment's kernel lines over all outputs, each once a strip, without padding."""
    height, dilation = fields["dilation_height"], fields["dilation_width"]
    lines = steps_inside(
        fields["output_height"],
        segment.rows,
        fields["stride_height"],
        height,
        fields["pad_top"] - segment.row * height,
        fields["input_height"],
    )
    pixels, first, stride = 0, segment.column * dilation - fields["pad_left"], fields["stride_width"]
    for outputs, count in strips(fields["output_width"], segments).items():
        for _ in range(count):
            if stride <= segment.columns:  # one run of neighbours
                width = (outputs - 1) * stride + segment.columns
                pixels += max(0, min(first + width, fields["input_width"]) - max(first, 0))
            else:
                pixels += steps_inside(outputs, segment.columns, stride, 1, -first, fields["input_width"])
            first += outputs * stride
    return lines * pixels
