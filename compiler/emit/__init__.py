"""`Graph` → `Program`: fusing, cutting into tiles, placing, scheduling; one emitter per family of instructions."""
