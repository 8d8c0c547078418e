"""Random networks of the operators that are read, as a converter could have written them."""

from __future__ import annotations

import numpy as np

from tests.compiler.tflite.net import Net

SAME, VALID = 0, 1


class RandomNet(Net):
    """A chain with branches of 4 to 10 random operators over one map."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.last = self.input((1, *(int(n) for n in self.rng.integers(3, 9, 2)), int(self.rng.integers(1, 7))))
        self.maps = [self.last]
        steps = [
            self.conv,
            self.depthwise,
            self.two,
            self.constant_operand,
            self.pool,
            self.function,
            self.pad,
            self.join,
            self.cut,
            self.resize,
            self.transposed,
            self.requantized,
        ]
        for _ in range(int(self.rng.integers(4, 11))):
            steps[int(self.rng.integers(0, len(steps)))]()
        self.end()

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape with the batch axis."""
        return tuple(self[name].shape)

    def put(self, name: str) -> None:
        """A map that later operators may read."""
        self.last = name
        self.maps.append(name)

    def activation(self) -> int:
        """NONE, RELU, RELU_N1_TO_1 or RELU6."""
        return int(self.rng.integers(0, 4))

    def conv(self) -> None:
        """CONV_2D of a kernel that fits."""
        _, height, width, depth = self.shape(self.last)
        kernel = int(self.rng.integers(1, min(height, width, 3) + 1))
        stride, padding = int(self.rng.integers(1, 3)), int(self.rng.integers(0, 2))
        outputs = int(self.rng.integers(1, 9))
        w, scale = self.weights((outputs, kernel, kernel, depth), 0 if self.rng.integers(0, 2) else None)
        size = [-(-n // stride) if padding == SAME else (n - kernel) // stride + 1 for n in (height, width)]
        bias = self.bias(outputs, self.last, scale) if self.rng.integers(0, 4) else ""
        shape = (1, *size, outputs)
        fields = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        self.put(self.add("CONV_2D", [self.last, w, bias], shape, FusedActivationFunction=self.activation(), **fields))

    def depthwise(self) -> None:
        """DEPTHWISE_CONV_2D with a multiplier of 1 or 2."""
        _, height, width, depth = self.shape(self.last)
        outputs = depth * int(self.rng.integers(1, 3))
        w, scale = self.weights((1, 3, 3, outputs), 3)
        dilation = int(self.rng.integers(1, 3))
        fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": dilation, "DilationWFactor": dilation}
        inputs = [self.last, w, self.bias(outputs, self.last, scale)]
        fields |= {"DepthMultiplier": outputs // depth, "FusedActivationFunction": self.activation()}
        self.put(self.add("DEPTHWISE_CONV_2D", inputs, (1, height, width, outputs), **fields))

    def two(self) -> None:
        """ADD, SUB or MUL of two maps of one shape, or of a map and itself."""
        shape = self.shape(self.last)
        others = [name for name in self.maps if self.shape(name) == shape]
        code = str(self.rng.choice(["ADD", "SUB", "MUL"]))
        operands = [self.last, str(self.rng.choice(others))]
        self.put(self.add(code, operands, shape, FusedActivationFunction=self.activation()))

    def constant_operand(self) -> None:
        """ADD or MUL of a constant per channel."""
        shape = self.shape(self.last)
        values = self.rng.integers(-128, 128, shape[-1]).astype(np.int8)
        code = str(self.rng.choice(["ADD", "MUL"]))
        self.put(self.add(code, [self.last, self.constant(values, *self.quantization())], shape))

    def pool(self) -> None:
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        _, height, width, depth = self.shape(self.last)
        kernel = [int(self.rng.integers(1, min(n, 4) + 1)) for n in (height, width)]
        stride, padding = int(self.rng.integers(1, 3)), int(self.rng.integers(0, 2))
        size = [
            -(-n // stride) if padding == SAME else (n - k) // stride + 1
            for n, k in zip((height, width), kernel, strict=True)
        ]
        fields = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        fields |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1], "FusedActivationFunction": self.activation()}
        code = str(self.rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
        self.put(self.add(code, [self.last], (1, *size, depth), self.last, **fields))

    def function(self) -> None:
        """A unary function."""
        code = str(self.rng.choice(["LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6"]))
        fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
        options = {"Alpha": 0.3} if code == "LEAKY_RELU" else {}
        self.put(self.add(code, [self.last], self.shape(self.last), fixed.get(code), **options))

    def pad(self) -> None:
        """PAD around rows and columns."""
        pads = np.zeros((4, 2), np.int32)
        pads[1:3] = self.rng.integers(0, 3, (2, 2))
        shape = tuple(int(n) for n in np.array(self.shape(self.last)) + pads.sum(axis=1))
        self.put(self.add("PAD", [self.last, self.constant(pads)], shape, self.last))

    def join(self) -> None:
        """CONCATENATION along the channels, of equal scales."""
        shape = self.shape(self.last)
        self.put(self.add("CONCATENATION", [self.last, self.last], (*shape[:3], 2 * shape[3]), self.last, Axis=-1))

    def cut(self) -> None:
        """STRIDED_SLICE of rows, columns and channels."""
        shape = self.shape(self.last)
        starts = [0, *(int(self.rng.integers(0, (n + 1) // 2)) for n in shape[1:])]
        steps = [1, *(int(self.rng.integers(1, 3)) for _ in range(3))]
        made = tuple(-(-(n - start) // step) for n, start, step in zip(shape, starts, steps, strict=True))
        places = [self.integers(*starts), self.integers(*shape), self.integers(*steps)]
        self.put(self.add("STRIDED_SLICE", [self.last, *places], made, self.last))

    def resize(self) -> None:
        """RESIZE_NEAREST_NEIGHBOR to any size."""
        shape = self.shape(self.last)
        size = [int(n) for n in self.rng.integers(2, 12, 2)]
        self.put(
            self.add("RESIZE_NEAREST_NEIGHBOR", [self.last, self.integers(*size)], (1, *size, shape[3]), self.last)
        )

    def transposed(self) -> None:
        """TRANSPOSE_CONV by 2."""
        _, height, width, depth = self.shape(self.last)
        shape = (1, height * 2, width * 2, 3)
        if height * width > 150:
            return
        w, scale = self.weights((3, 2, 2, depth), 0)
        inputs = [self.integers(*shape), w, self.last, self.bias(3, self.last, scale)]
        self.put(self.add("TRANSPOSE_CONV", inputs, shape, StrideH=2, StrideW=2))

    def requantized(self) -> None:
        """QUANTIZE to another scale."""
        self.put(self.add("QUANTIZE", [self.last], self.shape(self.last)))

    def end(self) -> None:
        """Mean or flattening, a matrix product, softmax."""
        shape = self.shape(self.last)
        if self.rng.integers(0, 2):
            y = self.add("MEAN", [self.last, self.integers(1, 2)], (1, shape[3]), KeepDims=False)
        else:
            size = int(np.prod(shape))
            y = self.add("RESHAPE", [self.last, self.integers(1, size)], (1, size), self.last)
        w, scale = self.weights((5, self.shape(y)[1]), None)
        y = self.add("FULLY_CONNECTED", [y, w, self.bias(5, y, scale)], (1, 5))
        self.add("SOFTMAX", [y], (1, 5), (1 / 256, -128), Beta=1.0)
