"""`Net`: a .tflite file put together operator by operator, and what TFLM says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import ArrayLike, NDArray

from codesign.peers.tflm import run_tflm
from compiler import ModelError, load_model
from compiler.tflite.writer import FileOperator, FileTensor, tflite_file
from emulator import Arithmetic, Graph, run_graph

Quantization = tuple[float, int]


class Net:
    """Tensors and operators of a file; methods give the names of tensors."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[FileTensor] = []
        self.operators: list[FileOperator] = []
        self.inputs: list[str] = []
        self.metadata: dict[str, bytes] = {}

    def quantization(self) -> Quantization:
        """A scale from 2^−7 to 2^−3 and any zero point."""
        return float(np.float32(2.0 ** self.rng.uniform(-7, -3))), int(self.rng.integers(-128, 128))

    def input(self, shape: Sequence[int], quantization: Quantization | None = None, type: str = "int8") -> str:
        """An input of the network."""
        name = f"x{len(self.inputs)}"
        scale, zero = (None, 0) if type == "float32" else quantization or self.quantization()
        self.tensors.append(FileTensor(name, shape, type, scale=scale, zero_point=zero))
        self.inputs.append(name)
        return name

    def constant(
        self, values: NDArray[Any], scale: ArrayLike | None = None, zero_point: ArrayLike = 0, axis: int = 0
    ) -> str:
        """A constant."""
        name = f"c{len(self.tensors)}"
        tensor = FileTensor(name, values.shape, str(values.dtype), scale, zero_point, values, axis)
        self.tensors.append(tensor)
        return name

    def integers(self, *values: int) -> str:
        """A constant vector of int32."""
        return self.constant(np.array(values, np.int32))

    def weights(self, shape: Sequence[int], axis: int | None) -> tuple[str, NDArray[np.float32]]:
        """Random int8 weights, per channel along `axis` or per tensor; their name and scales."""
        channels = 1 if axis is None else shape[axis]
        scale = (2.0 ** self.rng.uniform(-9, -6, channels)).astype(np.float32)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        return self.constant(values, scale, np.zeros(channels, np.int64), axis or 0), scale

    def bias(self, count: int, x: str, scale: NDArray[np.float32]) -> str:
        """A random bias at the scale of input times weights."""
        steps = np.float32(np.asarray(self[x].scale)) * scale
        return self.constant(self.rng.integers(-3000, 3000, count).astype(np.int32), steps)

    def add(
        self,
        code: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        quantization: Quantization | str | None = None,
        type: str = "int8",
        **options: Any,
    ) -> str:
        """An operator with one result; quantization: of the result, or the name of the tensor that it is that of."""
        if isinstance(quantization, str):
            quantization = float(np.asarray(self[quantization].scale)), int(np.asarray(self[quantization].zero_point))
        name = f"y{len(self.operators)}"
        scale, zero = (quantization or self.quantization()) if type in ("int8", "uint8") else (None, 0)
        self.tensors.append(FileTensor(name, shape, type, scale, zero))
        self.operators.append(FileOperator(code, inputs, [name], options))
        return name

    def __getitem__(self, name: str) -> FileTensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def file(self, *outputs: str) -> bytes:
        """The file's bytes."""
        shown = outputs or (self.operators[-1].outputs[0],)
        return tflite_file(self.tensors, self.operators, self.inputs, shown, self.metadata)

    def save(self, folder: Path, *outputs: str) -> Path:
        """The file on disk."""
        path = folder / "net.tflite"
        path.write_bytes(self.file(*outputs))
        return path

    def codes(self, count: int = 4) -> dict[str, NDArray[Any]]:
        """Random codes of the inputs, the ends of their range among them."""
        made = {}
        for name in self.inputs:
            tensor = self[name]
            low, high = (0, 255) if tensor.type == "uint8" else (-128, 127)
            array = self.rng.integers(low, high + 1, (count, *tensor.shape[1:])).astype(tensor.type)
            array[0].flat[:: max(array[0].size // 7, 1)] = low
            array[-1] = high
            made[name] = array
        return made


def graph(net: Net, folder: Path, arithmetic: Arithmetic | None = None, *outputs: str) -> Graph:
    """The file as a graph."""
    return load_model(net.save(folder, *outputs), arithmetic)


def check_tflm(net: Net, folder: Path, *outputs: str, count: int = 4) -> Graph:
    """Assert that every output and every tensor has the codes of TFLM; gives the graph."""
    pytest.importorskip("tflite_micro", reason="the package tflite-micro is not installed (extra tflm)")
    read = graph(net, folder, Arithmetic.tflm(), *outputs)
    codes = net.codes(count)
    path = folder / "net.tflite"
    found, expected = run_graph(read, codes), run_tflm(path, codes)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert_array_equal(found[name], array, err_msg=name)
    layers = run_graph(read, codes, every=True)
    held = {tensor: layer for layer, tensor in read.metadata["codes"].items() if layer in layers}
    for name, array in run_tflm(path, codes, every=True).items():
        if name in held and array.dtype == np.int8:
            assert_array_equal(layers[held[name]].reshape(array.shape), array, err_msg=name)
    return read


def refusal(net: Net, folder: Path, arithmetic: Arithmetic | None = None, *outputs: str) -> str:
    """The sentence with which the file is refused, without the file's name."""
    path = net.save(folder, *outputs)
    with pytest.raises(ModelError) as caught:
        load_model(path, arithmetic)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message, message
    return message.removeprefix(f"{path}: ")
