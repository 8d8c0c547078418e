"""The README's figures, measured on the machine at hand: each benchmark is a file or a folder."""
