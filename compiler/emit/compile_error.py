"""`CompileError`: why the accelerator cannot run a layer."""


class CompileError(ValueError):
    """A layer that the accelerator cannot run; the text names the layer and the reason."""
