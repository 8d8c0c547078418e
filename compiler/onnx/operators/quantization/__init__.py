"""QuantizeLinear, DequantizeLinear, and operators of codes."""
