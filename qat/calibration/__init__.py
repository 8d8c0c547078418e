"""Before training: calibration, its corrections, the search of bits, the ranges of a deployed model."""
