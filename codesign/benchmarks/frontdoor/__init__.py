"""The front door: which quantizers write files that are read, and whether every bit of those is right.

`rows` is imported by name from `codesign.benchmarks.frontdoor.rows`: this package itself needs none of the project's
dependencies, so that `generate` runs in an environment of a quantizer's.
"""
