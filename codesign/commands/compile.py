"""``lockstep compile``: what an integrator needs to run a model on an accelerator."""

from __future__ import annotations

from pathlib import Path

from ..console import Output, Phases, to_json
from ..execution import ModelChoice
from ..execution.report import accelerator_name
from ..files import check_folder, replacing_folder
from ..reference.memory_map import memory_map_dict, memory_map_text
from ..reference.register_sequence import check_base, register_sequence, registers_dict, registers_text
from ..table import cell_text

NAMES = ("program.bin", "image.bin", "registers.txt", "registers.json", "memory_map.txt", "memory_map.json")


def run(chosen: ModelChoice, folder: Path, base: int, json_file: str | None) -> bool:
    """Compile a model and write the files `NAMES` into `folder`, all of them or none; returns True."""
    output = Output(json_file)
    check_base(base)
    check_folder(folder, NAMES)
    graph, config = chosen.load()
    from compiler import compile_graph

    with Phases() as phases, phases.phase("compiler"):
        program = compile_graph(graph, config)
    sequence = register_sequence(program, base)
    code = slice(program.program_address, program.program_address + program.program_bytes)
    map_dict = memory_map_dict(program, config)
    contents = {
        "program.bin": program.image[code],
        "image.bin": program.image,
        "registers.txt": registers_text(sequence).encode(),
        "registers.json": to_json(registers_dict(sequence)).encode(),
        "memory_map.txt": memory_map_text(program, config, chosen.model.name).encode(),
        "memory_map.json": to_json(map_dict).encode(),
    }
    with replacing_folder(folder, NAMES) as temporary:
        for name in NAMES:
            (temporary / name).write_bytes(contents[name])
    output.show(
        f"{folder}: {cell_text(len(program.instructions))} instructions, an image of "
        f"{cell_text(program.memory_bytes)} bytes, {cell_text(program.macs)} multiplications, for "
        f"{accelerator_name(config)}"
    )
    files = {name: len(content) for name, content in contents.items()}
    output.finish(
        {"folder": str(folder), "files": files, "instructions": len(program.instructions)}
        | registers_dict(sequence)
        | {"memory_map": map_dict}
    )
    return True
