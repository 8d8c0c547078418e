"""What an integrator reads: the instruction set, ports, registers and memory of a compiled program."""
