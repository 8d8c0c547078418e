"""Co-design studies: one file in, a Pareto front out; every number that of the hardware, or marked as an estimate."""
