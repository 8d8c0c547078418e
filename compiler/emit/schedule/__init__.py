"""The order of operations, where their buffers lie, and the tokens between the units."""
