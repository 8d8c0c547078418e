"""From values to codes: observed ranges, scales, quantizers and the rules that set them per layer."""
