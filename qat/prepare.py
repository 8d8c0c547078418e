"""`prepare`: a float model becomes one whose forward value is the contract's integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from emulator import Arithmetic

from .calibration.calibrate import set_scales
from .calibration.float_pass import full_precision, inputs_of
from .layers.matrix_product import check_second_operands
from .lowering.lower import lower
from .lowering.trace import check_examples, trace
from .model import PreparedModel, evaluating
from .quantized_layers import QuantizedLayers
from .scales.settings import Settings, as_settings
from .surroundings import check_transforms, own, trainable


def prepare(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    arithmetic: Arithmetic | None = None,
    *,
    settings: Settings | Mapping[str, Mapping[str, Any]] | None = None,
) -> PreparedModel:
    """A copy of `model` whose forward value is that of an accelerator with this arithmetic.

    model : all its parameters and float buffers in float32
    example_inputs : the model's arguments, or the only one: float tensors (batch, channels, height, width), (batch,
    channels, length) or (batch, length), and integer ones that embeddings look up on the host; the scales start from
    their values. Call `calibrate` with more of them.
    arithmetic : the default one if None
    settings : bits, observers and kinds of scale by rules on the layers' names, `Settings` or the rules themselves; by
    default all layers have the arithmetic's bits, min-max ranges and scales that are learned in the log domain

    The graph is captured by torch.export. A convolution, the BatchNorm behind it and a ReLU, ReLU6 or clamp become one
    layer with one rounding, as do a linear layer's; any other function of one tensor becomes a table, and a chain of
    them one table. Modules that are called several times keep one set of weight codes, as the steps of an LSTM, GRU or
    RNN do, which are as many as the example has. The results are the model's in eval mode, one tensor or several in
    tuples, lists and dictionaries. Raises ``ValueError`` naming the node, the line of the user's source
    or the module's path, and a way out, where no layer computes something.
    """
    arithmetic = Arithmetic() if arithmetic is None else arithmetic
    if not isinstance(arithmetic, Arithmetic):
        raise TypeError(f"arithmetic must be an Arithmetic, not {arithmetic!r}")
    if isinstance(model, PreparedModel):
        raise ValueError("model must be a float model, not one that is prepared already")
    if isinstance(model, nn.Module):
        for name, module in model.named_modules():
            if isinstance(module, PreparedModel):
                raise ValueError(f"model must be a float model, but its module {name!r} is prepared already")
    check_transforms("prepare")
    with trainable():
        return _prepared(model, example_inputs, arithmetic, as_settings(settings))


def _prepared(
    model: nn.Module, example_inputs: Tensor | Sequence[Tensor], arithmetic: Arithmetic, settings: Settings
) -> PreparedModel:
    owner, program = trace(model, example_inputs)
    lowering, host, results = lower(program, arithmetic, settings)
    examples = tuple(own(x) for x in check_examples(example_inputs))
    layers = QuantizedLayers(host, lowering.layers.values(), results, arithmetic, settings, lowering.states)
    settings.check(layers.activations(), arithmetic)
    check_second_operands(layers, layers.activations())
    prepared = PreparedModel(owner, layers).to(examples[0].device)
    prepared.training = model.training
    layers.train(model.training)
    with full_precision(prepared), evaluating(prepared):
        set_scales(prepared, inputs_of(prepared, [examples]))
    return prepared
