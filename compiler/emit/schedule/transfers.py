"""Transfers in as few and as long pieces as an instruction's fields allow."""

from __future__ import annotations

from emulator.instructions import Opcode, largest

from .operation import Transfer

PIXEL_BYTES_MOST = largest(Opcode.LOAD, "pixel_bytes")
PIXELS_MOST = largest(Opcode.LOAD, "pixels")
PIXEL_ROWS_MOST = largest(Opcode.LOAD, "pixel_rows")


def merge(transfer: Transfer, lanes: int) -> Transfer:
    """The same bytes to the same rows in fewer and longer pixels and lines."""
    lines, line_stride = transfer.lines, transfer.line_stride
    pixels, pixel_stride, size = transfer.pixels, transfer.pixel_stride, transfer.pixel_bytes
    row_bytes = PIXEL_ROWS_MOST * lanes if lines > 1 else PIXEL_BYTES_MOST
    if pixels > 1 and pixel_stride == size and size % lanes == 0 and size * pixels <= min(row_bytes, PIXEL_BYTES_MOST):
        size, pixels = size * pixels, 1
    if pixels == 1:
        lines, line_stride, pixels, pixel_stride = 1, 0, lines, line_stride
        if pixel_stride == size and size % lanes == 0 and size * pixels <= PIXEL_BYTES_MOST:
            size, pixels = size * pixels, 1
    elif lines > 1 and line_stride == pixels * pixel_stride and lines * pixels <= PIXELS_MOST:
        lines, line_stride, pixels = 1, 0, lines * pixels
    if lines == 1:
        line_stride = 0
    if pixels == 1:
        pixel_stride = 0
    return Transfer(transfer.address, lines, line_stride, pixels, pixel_stride, size)


def transfer_fields(transfer: Transfer) -> dict[str, int]:
    """The fields of a LOAD or STORE that describe its bytes."""
    return {
        "memory_address": transfer.address,
        "lines": transfer.lines,
        "line_stride": transfer.line_stride,
        "pixels": transfer.pixels,
        "pixel_stride": transfer.pixel_stride,
        "pixel_bytes": transfer.pixel_bytes,
    }
