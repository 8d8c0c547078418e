"""Steps that a training recipe combines: distillation, pruning, factorization, the guaranteed accumulator."""
