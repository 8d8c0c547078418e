"""Damaged .tflite files: bits, words, offsets and lengths of a file, and fields of what it is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tflite

from compiler.tflite.writer import FileOperator, FileTensor, tflite_file

WORDS = (0, 1, 2, 3, 7, 255, 1 << 16, (1 << 24) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 32) - 4)
CODES = [name for name in vars(tflite.BuiltinOperator) if name.isupper() and not name.startswith("STABLEHLO")]
SCALES = (0.0, -1.0, float("nan"), float("inf"), 1e-38, 1e-30, 1e30, 3e38, 1.0)


@dataclass(frozen=True, eq=False)
class Parts:
    """What `tflite_file` writes a file from."""

    tensors: Sequence[FileTensor]
    operators: Sequence[FileOperator]
    inputs: Sequence[str]
    outputs: Sequence[str]

    def write(self) -> bytes:
        """The file."""
        return tflite_file(self.tensors, self.operators, self.inputs, self.outputs)


def byte_mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with one to four places damaged: bits, bytes, words, its end, or blocks moved."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if len(changed) < 16:
            break
        at = _place(data, changed, rng)
        match int(rng.integers(0, 8)):
            case 0:
                changed[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                changed[at] = int(rng.integers(0, 256))
            case 2 | 3:
                at -= at % 4
                changed[at : at + 4] = _word(changed, rng).to_bytes(4, "little")
            case 4:
                value = int.from_bytes(changed[at : at + 2], "little") + int(rng.choice([-4, -1, 1, 2, 4, 64]))
                changed[at : at + 2] = (value % (1 << 16)).to_bytes(2, "little")
            case 5:
                other = _place(data, changed, rng)
                changed[at : at + 4], changed[other : other + 4] = changed[other : other + 4], changed[at : at + 4]
            case 6:
                size = int(rng.integers(1, 64))
                other = _place(data, changed, rng)
                changed[at : at + size] = changed[other : other + size]
            case _:
                if rng.integers(0, 4) == 0:
                    del changed[at:]
                else:
                    changed[at:at] = bytes(int(rng.integers(1, 9)))
    return bytes(changed)


def _place(data: bytes, changed: bytearray, rng: np.random.Generator) -> int:
    """Mostly among the tables, which lie at the beginning and behind the weights."""
    size = len(changed)
    if rng.integers(0, 3):
        return int(min(rng.integers(0, min(4096, size)), size - 8))
    return int(rng.integers(0, size - 8))


def _word(changed: bytearray, rng: np.random.Generator) -> int:
    choice = int(rng.integers(0, 4))
    if choice == 0:
        return int(rng.integers(0, len(changed) + 64))
    if choice == 1:
        return int(rng.integers(0, 1 << 32))
    return int(rng.choice(WORDS))


def field_mutant(parts: Parts, rng: np.random.Generator) -> bytes:
    """The file written with one to three fields changed; one that cannot be written is damaged in its bytes."""
    tensors, operators = list(parts.tensors), list(parts.operators)
    inputs, outputs = list(parts.inputs), list(parts.outputs)
    names = [tensor.name for tensor in tensors]
    for _ in range(int(rng.integers(1, 4))):
        match int(rng.integers(0, 10)):
            case 0 | 1 | 2 | 3:
                index = int(rng.integers(0, len(tensors)))
                tensors[index] = _changed_tensor(tensors[index], rng)
            case 4 | 5 | 6 | 7:
                index = int(rng.integers(0, len(operators)))
                operators[index] = _changed_operator(operators[index], names, rng)
            case 8:
                index = int(rng.integers(0, len(operators)))
                operators.insert(int(rng.integers(0, len(operators) + 1)), operators.pop(index))
            case _:
                ends = inputs if rng.integers(0, 2) else outputs
                ends[int(rng.integers(0, len(ends)))] = str(rng.choice(names))
    try:
        return tflite_file(tensors, operators, inputs, outputs)
    except (TypeError, ValueError, OverflowError, AttributeError, KeyError):
        return byte_mutant(parts.write(), rng)


def _changed_tensor(tensor: FileTensor, rng: np.random.Generator) -> FileTensor:
    shape = list(tensor.shape)
    match int(rng.integers(0, 8)):
        case 0:
            if shape:
                shape[int(rng.integers(0, len(shape)))] = int(rng.choice([-1, 0, 1, 2, 3, 7, 1 << 16, 1 << 30]))
            return replace(tensor, shape=shape)
        case 1:
            return replace(tensor, shape=[*shape, 1] if rng.integers(0, 2) else shape[:-1])
        case 2:
            return replace(tensor, shape=[int(size) for size in rng.permutation(shape)])
        case 3:
            kind = str(rng.choice(["float32", "float16", "int32", "uint8", "int64", "bool", "int16", "int8"]))
            return replace(tensor, type=kind)
        case 4:
            return replace(tensor, scale=float(rng.choice(SCALES)))
        case 5:
            return replace(tensor, scale=np.full(int(rng.integers(0, 5)), 0.1), axis=int(rng.integers(-2, 6)))
        case 6:
            return replace(tensor, zero_point=int(rng.choice([-(1 << 40), -129, -128, 0, 127, 128, 255, 1 << 62])))
        case _:
            data = tensor.data
            if data is None:
                return replace(tensor, data=rng.integers(-128, 128, 16).astype(np.int8))
            return replace(tensor, data=None if rng.integers(0, 2) else data.reshape(-1)[: int(rng.integers(0, 9))])


def _changed_operator(operator: FileOperator, names: list[str], rng: np.random.Generator) -> FileOperator:
    inputs, outputs = list(operator.inputs), list(operator.outputs)
    match int(rng.integers(0, 6)):
        case 0:
            return replace(operator, code=str(rng.choice(CODES)))
        case 1 if inputs:
            inputs[int(rng.integers(0, len(inputs)))] = str(rng.choice([*names, ""]))
            return replace(operator, inputs=inputs)
        case 2 if outputs:
            outputs[int(rng.integers(0, len(outputs)))] = str(rng.choice([*names, ""]))
            return replace(operator, outputs=outputs)
        case 3:
            return replace(operator, inputs=[*inputs, str(rng.choice(names))] if rng.integers(0, 2) else inputs[:-1])
        case 4:
            return replace(operator, inputs=[str(name) for name in rng.permutation(inputs)])
        case _:
            options: dict[str, Any] = dict(operator.options)
            for name in options:
                if rng.integers(0, 2):
                    options[name] = int(rng.choice([-1, 0, 1, 2, 3, 5, 100, 1 << 20, (1 << 31) - 1]))
            return replace(operator, options=options)
