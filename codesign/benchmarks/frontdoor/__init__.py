"""The front door: which quantizers write files that are read, and whether every bit of those is right."""
