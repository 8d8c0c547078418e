"""What to do about operators that no layer computes."""

from __future__ import annotations

STATISTICS = "it normalizes each sample by the sample's own statistics: use BatchNorm, whose statistics are fixed"
PRODUCT = "only matmul and bmm multiply two activations: use one of them, or nn.Linear or a convolution with weights"
CHOICE = "its result's places or sizes depend on values: return what it reads, and compute it behind the model"
LAST = "let the model return what it reads, and compute it behind the model on the host"
DIMENSIONS = "layers have at most two axes behind the channels: put one into the batch before the model"
ROUNDING = "it counts or rounds: compute it on the host, in front of the model or behind it"

WORDS: dict[str, tuple[str, ...]] = {
    STATISTICS: (
        "group_norm", "local_response_norm", "linalg_vector_norm", 
        "norm", "std", "var", "var_mean", "std_mean",
    ),
    PRODUCT: ("mm", "baddbmm", "einsum", "bilinear", "dot"),
    CHOICE: ("index", "nonzero", "_unique2", "unique_dim", "masked_select", "gather", "scatter", "sort", "topk"),
    LAST: ("log_softmax", "logsumexp", "argmax", "argmin", "argsort", "cumsum", "cumprod", "prod"),
    DIMENSIONS: (
        "conv3d", "conv_transpose3d", "max_pool3d", "avg_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool3d",
        "upsample_nearest3d", "upsample_trilinear3d",
    ),
    ROUNDING: ("round", "trunc", "frac", "remainder", "fmod", "floor_divide", "bucketize", "bincount", "eq", "ne"),
}  # fmt: skip
WAYS = {operator: way for way, operators in WORDS.items() for operator in operators}
ANY = (
    "write it with convolutions, linear layers, pools, sums, products and functions of one tensor, or compute it on "
    "the host, in front of the model or behind it"
)


def way_out(kind: str) -> str:
    """What to write instead of the operator ``aten.NAME.OVERLOAD``."""
    return WAYS.get(kind.split(".")[1], ANY)
