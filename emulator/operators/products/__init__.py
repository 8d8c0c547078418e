"""Exact sums of products: of bytes, of float32, or step by step."""
