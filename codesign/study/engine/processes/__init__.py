"""Who executes tasks: processes of this machine, or of a Ray cluster."""
