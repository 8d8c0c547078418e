"""Other people's runtimes, run on the same file to be compared with."""
