"""Means, sums and maxima of windows and along axes."""
