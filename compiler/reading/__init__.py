"""What all formats share: constants, codes, real numbers and their one rounding, layers while they are read."""
