"""AXI4, AXI4-Lite, and who reads."""
