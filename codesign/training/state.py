"""A network's parameters and buffers as the bytes of an .npz file: equal for equal values, and safe to read."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import nn

from ..inputs import open_npz


def state_bytes(network: nn.Module) -> bytes:
    """All entries of the state_dict, by name, each with its type."""
    buffer = io.BytesIO()
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    np.savez(buffer, **arrays)  # NumPy dates all members 1980
    return buffer.getvalue()


def load_state(network: nn.Module, state: bytes, name: str = "state") -> None:
    """Give `network` the parameters and buffers of `state`.

    name : how errors call the state, a file's path for one
    Raises ``ValueError`` naming it where it is damaged, and the entry where it is not that of such a network; the
    network is unchanged then, and no memory is taken for what does not belong to it.
    """
    own = network.state_dict()
    with open_npz(name, state) as archive:
        if differing := own.keys() ^ archive.headers.keys():
            raise ValueError(f"{name}: must hold what the network has, but differs in {', '.join(sorted(differing))}")
        for entry, tensor in own.items():
            header, like = archive.headers[entry], tensor.cpu().numpy()
            if (header.shape, header.dtype) != (like.shape, like.dtype):
                raise ValueError(
                    f"{archive.where(entry)}: must be {like.dtype} {like.shape}, as the network's, "
                    f"not {header.dtype} {header.shape}"
                )
        arrays = archive.read()
    network.load_state_dict({entry: torch.from_numpy(array) for entry, array in arrays.items()})
