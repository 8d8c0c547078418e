#!/bin/sh
# TFLM's int8 RELU6, as an operator of its own, clamps the input's codes at the input's scale and copies them: where the
# output tensor has another scale or zero point, as converters write it, its real values are wrong (here −1, 2 and 6 come out as
# 6.4, 7.4 and 9.4). RELU beside it requantizes, and so does LiteRT in both. Runs without Lockstep; exits non-zero if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tflite==2.18.0 flatbuffers==25.12.19 numpy==2.4.6 \
    tflite-micro==0.dev20261023182759 ai-edge-litert==2.3.0
cat > "$folder/run.py" <<'PYTHON'
import sys
import flatbuffers, numpy as np, tflite


def model(kind):
    b = flatbuffers.Builder(1024)
    def vector(offsets):
        b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            b.PrependUOffsetTRelative(offset)
        return b.EndVector()
    tensors = []
    for name, scale, zero in (("x", 0.1, 0), ("y", 0.05, -128)):
        label, shape = b.CreateString(name), b.CreateNumpyVector(np.array([1, 3], np.int32))
        s, z = b.CreateNumpyVector(np.float32([scale])), b.CreateNumpyVector(np.int64([zero]))
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, s), tflite.QuantizationParametersAddZeroPoint(b, z)
        q = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddName(b, label), tflite.TensorAddShape(b, shape), tflite.TensorAddQuantization(b, q)
        tflite.TensorAddType(b, tflite.TensorType.INT8)
        tensors.append(tflite.TensorEnd(b))
    reads, makes = b.CreateNumpyVector(np.int32([0])), b.CreateNumpyVector(np.int32([1]))
    tflite.OperatorStart(b)
    tflite.OperatorAddInputs(b, reads), tflite.OperatorAddOutputs(b, makes)
    operator = tflite.OperatorEnd(b)
    fields = vector(tensors), vector([operator])
    ends = b.CreateNumpyVector(np.int32([0])), b.CreateNumpyVector(np.int32([1]))
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, fields[0]), tflite.SubGraphAddOperators(b, fields[1])
    tflite.SubGraphAddInputs(b, ends[0]), tflite.SubGraphAddOutputs(b, ends[1])
    graph = tflite.SubGraphEnd(b)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, kind)
    tflite.OperatorCodeAddBuiltinCode(b, kind)
    tflite.OperatorCodeAddVersion(b, 2)
    code = tflite.OperatorCodeEnd(b)
    tflite.BufferStart(b)
    buffer = tflite.BufferEnd(b)
    parts = vector([code]), vector([graph]), vector([buffer])
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3), tflite.ModelAddOperatorCodes(b, parts[0])
    tflite.ModelAddSubgraphs(b, parts[1]), tflite.ModelAddBuffers(b, parts[2])
    b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
    return bytes(b.Output())


def tflm(data, x):
    from tflite_micro.python.tflite_micro import runtime
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 16)
    interpreter.set_input(x, 0), interpreter.invoke()
    return interpreter.get_output(0)


def litert(data, x):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors(), interpreter.set_tensor(0, x), interpreter.invoke()
    return interpreter.get_tensor(1)


x = np.int8([[-10, 20, 60]])  # -1.0, 2.0 and 6.0
found = {}
for name, kind in (("RELU", tflite.BuiltinOperator.RELU), ("RELU6", tflite.BuiltinOperator.RELU6)):
    for run in (tflm, litert):
        real = (run(model(kind), x)[0].astype(int) + 128) * 0.05
        found[name, run.__name__] = real.round(3).tolist()
        print(f"{name:5} of -1, 2 and 6 in {run.__name__:6}: {found[name, run.__name__]}")
right = [0.0, 2.0, 6.0]
wrong = {key for key, real in found.items() if real != right}
sys.exit(0 if wrong == {("RELU6", "tflm")} else 1)
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
