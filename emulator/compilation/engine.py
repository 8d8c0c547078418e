"""LLVM: a module's text to machine code for this processor, and machine code to an address to call."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import llvmlite.binding as llvm  # type: ignore[import-untyped]

from .values import ENTRY

_ENGINES: list[Any] = []  # what owns the machine code that has been loaded


@functools.cache
def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple()


def processor() -> str:
    """LLVM's version, and the processor that machine code is for."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvmlite.__version__} {llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features}"


def _machine(level: int) -> Any:
    return _target().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=level, jit=True
    )


def machine_code(text: str, level: int = 2) -> bytes:
    """An object file."""
    machine = _machine(level)
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(level)
    options.loop_vectorization = True
    options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def load(code: bytes) -> int:
    """The address of `ENTRY` in an object file."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(2))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(ENTRY))


def read_code(file: Path) -> bytes | None:
    """What `write_code` has written, or None where it is not there, or not whole."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return content[32:] if hashlib.sha256(content[32:]).digest() == content[:32] else None


def write_code(file: Path, code: bytes) -> None:
    """Keep machine code, whole or not at all; a folder that cannot be written is left alone."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(hashlib.sha256(code).digest() + code)
        os.replace(name, file)
    except OSError:
        return
