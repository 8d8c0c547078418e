"""The command line ``lockstep``, the demo, validation and the benchmarks: what uses all the other rooms."""
