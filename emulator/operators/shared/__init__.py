"""What operators share: windows, tables over codes, threads, libraries that may be missing."""
