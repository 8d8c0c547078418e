"""How a study runs: which points, in which order, by which workers, and what is never computed twice."""
