"""The cocotb modules that run inside the simulators; on their own, so that no simulator has to import the rest."""
