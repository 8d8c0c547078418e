"""One torch thread: the networks are small, and the tests share the cores with others."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
