"""Waveforms: both formats show the same, and what stands in for the libraries of FST compresses as they do."""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from rtl.simulation import Plan, build_testbench, run_plans
from rtl.simulation.runner import COMPRESSION
from rtl.simulation.tools import find_compiler
from tests.rtl.simulation.test_simulation_session import ADDRESS, STUB, image

COMPRESSOR = r"""
#include <lz4.h>
#include <zlib.h>
#include <cstdio>
#include <string>
int main(int count, char** arguments) {
    std::string in;
    for (int byte; (byte = std::getchar()) != EOF;) in.push_back(static_cast<char>(byte));
    const bool lz4 = arguments[1][0] == 'l';
    uLongf size = lz4 ? LZ4_compressBound(in.size()) : compressBound(in.size());
    std::string out(size, 0);
    if (lz4) size = LZ4_compress_default(in.data(), &out[0], in.size(), size);
    else if (compress2((Bytef*)&out[0], &size, (const Bytef*)in.data(), in.size(), 4) != Z_OK) return 1;
    std::fwrite(out.data(), 1, size, stdout);
}
"""


def unpacked(block: bytes) -> bytes:
    """The content of an LZ4 block, as its specification has it."""
    out, at = bytearray(), 0

    def length(half: int) -> int:
        nonlocal at
        total = half
        while half == 15:
            total += block[at]
            at += 1
            if block[at - 1] < 255:
                break
        return total

    while True:
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            return bytes(out)
        offset = block[at] | block[at + 1] << 8
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])


def test_compression(tmp_path: Path) -> None:
    program = tmp_path / "compress"
    (tmp_path / "compress.cpp").write_text(COMPRESSOR)
    compiler = find_compiler().executable
    subprocess.run(
        [compiler, "-O1", f"-I{COMPRESSION}", str(tmp_path / "compress.cpp"), "-o", str(program)], check=True
    )
    rng = np.random.default_rng(1)
    for size in (0, 1, 4, 5, 12, 13, 20, 300, 5000, 65535, 65536, 140000):
        for content in (rng.bytes(size), bytes(size), (rng.bytes(97) * (size // 97 + 1))[:size]):
            packed = subprocess.run([str(program), "lz4"], input=content, capture_output=True, check=True).stdout
            assert unpacked(packed) == content, size
            packed = subprocess.run([str(program), "zlib"], input=content, capture_output=True, check=True).stdout
            assert zlib.decompress(packed) == content, size


@pytest.mark.parametrize("kind", ["vcd", "fst"])
def test_a_trace_is_written_on_request(kind: str, simulator: str, tmp_path: Path) -> None:
    testbench = build_testbench(STUB, 8, 1, simulator, trace=kind)
    file = tmp_path / f"wave.{kind}"
    (run,) = run_plans(testbench, [Plan(image(1, 1), ADDRESS)], trace_file=file)
    if kind == "vcd":
        text = file.read_text(encoding="ascii")
        assert "beats_written" in text
        times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
        assert times == sorted(times)
        end = times[-1]
    else:
        content = file.read_bytes()
        kind_of_block, length, begin, end = struct.unpack(">BQQQ", content[:25])
        assert (kind_of_block, length) == (0, 329), "the header of an FST file"
        assert begin <= 1
    assert 2 * run.elapsed <= end < 2 * run.elapsed + 1000
