"""How many codes of a .tflite file differ between the emulator and a peer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from compiler import compile_graph, load_model
from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig
from emulator.graph import Graph, file_shape
from emulator.graph.run import run_graph
from emulator.machine import Machine

from .litert import run_litert
from .process import run_peer
from .tflite_names import read_names
from .tflite_slices import one_operator

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Agreement:
    """compared, differing : numbers of codes; largest : the largest difference."""

    compared: int = 0
    differing: int = 0
    largest: int = 0

    def with_codes(self, ours: NDArray[Any], theirs: NDArray[Any]) -> Agreement:
        """These codes counted too; ``ValueError`` where there are not as many of both."""
        if ours.size != theirs.size:
            raise ValueError(f"as many codes must be compared, not {ours.shape} with {theirs.shape}")
        distance = np.abs(ours.reshape(-1).astype(np.float64) - theirs.reshape(-1).astype(np.float64))
        return Agreement(
            self.compared + distance.size,
            self.differing + int(np.count_nonzero(distance)),
            max(self.largest, int(np.ceil(distance.max(initial=0)))),
        )


def sample_codes(graph: Graph, count: int, seed: int = 0) -> dict[str, NDArray[np.int8]]:
    """`count` inputs of random codes, and five with a structure: ends, zero points, a ramp and a chessboard."""
    rng = np.random.default_rng(seed)
    made = {}
    for tensor in graph.inputs:
        low, high, shape = tensor.y_min, tensor.y_max, file_shape(tensor)
        places = np.arange(int(np.prod(shape))).reshape(shape)
        structured = [
            np.full(shape, low),
            np.full(shape, high),
            np.full(shape, tensor.zero_point),
            low + places % (high - low + 1),
            np.where(places % 2, low, high),
        ]
        codes = rng.integers(low, high + 1, (count, *shape))
        made[tensor.name] = np.concatenate([codes, np.stack(structured)]).astype(np.int8)
    return made


def against_tflm(path: str | Path, count: int = 100, seed: int = 0) -> dict[str, Agreement]:
    """``outputs`` and ``tensors`` (all that the graph has codes of) with `Arithmetic.tflm`, each run through.

    count : random inputs, beside the structured ones of `sample_codes`
    """
    graph = load_model(path, Arithmetic.tflm(), override=True)
    codes = sample_codes(graph, count, seed)
    own = _file_codes(graph, codes)
    outputs = _counted(run_graph(graph, codes), run_peer("tflm", path, own))
    layers = run_graph(graph, codes, every=True)
    held = {tensor: layers[layer] for layer, tensor in graph.metadata["codes"].items() if layer in layers}
    theirs = run_peer("tflm", path, own, every=True)
    shared = {name: _signed(array) for name, array in theirs.items() if name in held}
    return {"outputs": outputs, "tensors": _counted({name: held[name] for name in shared}, shared)}


def against_litert(path: str | Path, count: int = 20, seed: int = 0, resolver: str = "default") -> dict[str, Agreement]:
    """Each operator alone, on the codes that the emulator feeds it, with the default `Arithmetic`: by operator code."""
    graph = load_model(path, Arithmetic(), override=True)
    codes = sample_codes(graph, count, seed)
    layers = run_graph(graph, codes, every=True)
    values: dict[str, NDArray[Any]] = {**_file_codes(graph, codes), **run_graph(graph, codes)}
    data = Path(path).read_bytes()
    kinds = _types(data)
    for layer, tensor in graph.metadata["codes"].items():
        if layer in layers and tensor not in values:
            values[tensor] = layers[layer] if kinds[tensor] == np.int8 else _unsigned(layers[layer])
    found: dict[str, Agreement] = {}
    for index, code in enumerate(operator_codes(data)):
        cut = one_operator(data, index)
        names = read_names(cut)
        reads = [names.tensors[i] for i in names.inputs]
        makes = [names.tensors[i] for i in names.outputs]
        if any(name not in values for name in (*reads, *makes)):
            continue
        theirs = run_litert(cut, {name: values[name] for name in reads}, resolver=resolver)
        for name in makes:
            found[code] = found.get(code, Agreement()).with_codes(values[name], theirs[name])
    return found


def against_hardware(
    path: str | Path, config: AcceleratorConfig, count: int = 1, seed: int = 0, rtl: bool = True
) -> dict[str, Agreement]:
    """``machine`` and ``rtl`` (in Verilator): outputs and all layers in memory against the emulator's operators.

    config : its arithmetic is the graph's; count : random inputs. Raises ``ValueError`` where the memories or the cycle
    counts of machine and RTL differ.
    """
    graph = load_model(path, config.arithmetic, override=True)
    program = compile_graph(graph, config)
    codes = {name: array[:count] for name, array in sample_codes(graph, count, seed).items()}
    outputs, layers = run_graph(graph, codes), run_graph(graph, codes, every=True)
    results = {"machine": Machine(config).run(program, codes)}
    if rtl:
        from rtl import simulate

        results["rtl"] = simulate(program, config, codes)
        if (results["rtl"].cycles, results["rtl"].memory) != (results["machine"].cycles, results["machine"].memory):
            raise ValueError(f"{path}: machine and RTL must have one memory and one cycle count")
    found = {}
    for name, result in results.items():
        made = _counted(outputs, result.outputs)
        for layer, array in result.layers.items():
            made = made.with_codes(layers[layer], array)
        found[name] = made
    return found


def operator_codes(data: bytes) -> list[str]:
    """The builtin name of every operator of the first subgraph."""
    model = tflite.Model.GetRootAs(data)
    graph = model.Subgraphs(0)
    names = []
    for index in range(graph.OperatorsLength()):
        code = model.OperatorCodes(graph.Operators(index).OpcodeIndex())
        names.append(str(tflite.opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))))
    return names


def _types(data: bytes) -> dict[str, Any]:
    names = read_names(data)
    return dict(zip(names.tensors, names.types, strict=True))


def _file_codes(graph: Graph, codes: Arrays) -> dict[str, NDArray[Any]]:
    """Codes as the file's own inputs have them."""
    unsigned: Iterable[str] = graph.metadata["unsigned_inputs"]
    return {name: _unsigned(array) if name in unsigned else array for name, array in codes.items()}


def _unsigned(codes: NDArray[Any]) -> NDArray[np.uint8]:
    return codes.view(np.uint8) ^ np.uint8(0x80)


def _signed(codes: NDArray[Any]) -> NDArray[Any]:
    return (codes ^ np.uint8(0x80)).view(np.int8) if codes.dtype == np.uint8 else codes


def _counted(ours: Arrays, theirs: Arrays) -> Agreement:
    if set(ours) != set(theirs):
        raise ValueError(f"the same tensors must be compared, not {sorted(ours)} with {sorted(theirs)}")
    found = Agreement()
    for name, array in theirs.items():
        found = found.with_codes(ours[name], array)
    return found
