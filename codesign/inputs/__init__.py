"""Arrays of .npz files, and the inputs of a model that they hold; a file is trusted in nothing."""

from .archive import Archive, open_npz, read_npz, write_npz
from .load_inputs import load_inputs
from .model_inputs import InputType, graph_codes, input_types, random_codes, read_inputs, takes_codes
from .random_inputs import random_model_inputs

__all__ = [
    "Archive",
    "InputType",
    "graph_codes",
    "input_types",
    "load_inputs",
    "open_npz",
    "random_codes",
    "random_model_inputs",
    "read_inputs",
    "read_npz",
    "takes_codes",
    "write_npz",
]
