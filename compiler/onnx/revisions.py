"""Which versions of the standard's operators were checked against what the reader makes of them.

An operator that did not change in a later operator set is the same there. All versions that are in force in the
operator sets 13 to 25 were checked, and those that are listed here.
"""

from __future__ import annotations

from onnx import defs

FIRST, LAST = 13, 25
# Of operator sets 10 to 12: attributes in place of later inputs, and fewer element types.
OLDER: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Identity", "SpaceToDepth", "Transpose"), (1,)),
    **dict.fromkeys(("DepthToSpace", "Gather", "ReduceMean", "Squeeze", "Unsqueeze"), (1, 11)),
    **dict.fromkeys(("Max", "Min"), (8, 12)),
    "ReduceMax": (1, 11, 12),
    "ReduceSum": (1, 11),
    "Tile": (6,),
    **dict.fromkeys(("Pad", "Split"), (2, 11)),
    **dict.fromkeys(("Abs", "Ceil", "Exp", "Floor", "Log", "Neg", "Reciprocal", "Relu", "Sigmoid"), (6,)),
    **dict.fromkeys(("Sqrt", "Tanh"), (6,)),
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), (7,)),
    **dict.fromkeys(("Cast", "Erf", "MatMul"), (9,)),
    **dict.fromkeys(("Flatten", "Gemm"), (9, 11)),
    "Softmax": (1, 11),
    **dict.fromkeys(("AveragePool", "DequantizeLinear", "QuantizeLinear"), (10,)),
    **dict.fromkeys(("MaxPool", "Resize", "Slice"), (10, 11)),
    "Clip": (6, 11, 12),
    "Concat": (4, 11),
    "Constant": (9, 11, 12),
    "Dropout": (10, 12),
    "Expand": (8,),
    "Reshape": (5,),
}
# Of operator sets 26 to 28: more element types, and a mode of SpaceToDepth.
NEWER: dict[str, tuple[int, ...]] = dict.fromkeys(
    ("Cast", "Celu", "DepthToSpace", "DequantizeLinear", "QuantizeLinear", "SpaceToDepth"), (28,)
)


def check_revision(kind: str, since: int) -> None:
    """Raise ``ValueError`` unless the version of an operator that operator set `since` brought was checked."""
    if since < FIRST and since != _since(kind, FIRST) and since not in OLDER.get(kind, ()):
        raise ValueError(
            f"its definition of operator set {since} was not checked; bring the model to operator set {FIRST} or later "
            "(onnx.version_converter.convert_version)"
        )
    if since > LAST and since not in NEWER.get(kind, ()):
        raise ValueError(
            f"operator set {since} changed it, which was not checked; export the model with operator set {LAST} or less"
        )


def _since(kind: str, opset: int) -> int | None:
    """The operator set that brought the version that `opset` has, None where it has none."""
    try:
        return int(defs.get_schema(kind, opset, "").since_version)
    except defs.SchemaError:
        return None
