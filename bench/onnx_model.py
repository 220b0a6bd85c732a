#!/usr/bin/env python3
"""The selfie segmentation networks (.tflite) as ONNX, for engines that do not read them.

    onnx_model.py MODEL.tflite OUT.onnx [--plain]

`--plain` is one ONNX operator for each of the file's, as converters make it. Without it the graph
is rewritten as far as that changes no result but for rounding, so that the other engines are shown
at their best:

* the 1x1 convolution behind a bilinear enlargement is moved in front of it, where there is a
  quarter of the pixels;
* the transposed convolution (2x2, stride 2, one channel) is a 1x1 convolution to 4 channels and
  DepthToSpace;
* hard swish is HardSwish, and the mean over the map GlobalAveragePool, both of which engines have
  kernels for.

Input and output are NCHW, which spares these engines a transposition that the others do not need
either."""

import argparse

import numpy as np
import onnx
import tflite
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
KINDS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}


class Source:
    """The content of a .tflite file as plain Python values."""

    def __init__(self, data):
        self.model = tflite.Model.GetRootAs(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.operators = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        self.constants = {}
        for operator in self.operators:
            if self.kind(operator) == "DEQUANTIZE":
                self.constants[operator.Outputs(0)] = self.values(operator.Inputs(0)).astype(
                    np.float32
                )

    def kind(self, operator):
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        name = KINDS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        return code.CustomCode().decode() if name == "CUSTOM" else name

    def options(self, operator, kind):
        options = kind()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def shape(self, tensor):
        return [int(n) for n in self.graph.Tensors(tensor).ShapeAsNumpy()]

    def values(self, tensor):
        """A constant's numbers; `None` for a computed tensor."""
        if tensor in self.constants:
            return self.constants[tensor]
        data = self.model.Buffers(self.graph.Tensors(tensor).Buffer())
        if data.DataLength() == 0:
            return None
        kind = {
            tflite.TensorType.FLOAT16: np.float16,
            tflite.TensorType.FLOAT32: np.float32,
            tflite.TensorType.INT32: np.int32,
        }
        return (
            data.DataAsNumpy()
            .view(kind[self.graph.Tensors(tensor).Type()])
            .reshape(self.shape(tensor))
        )


class Target:
    """The ONNX graph as it grows. Tensors are named by their number in the source."""

    def __init__(self, source, plain):
        self.source, self.plain = source, plain
        self.nodes, self.constants = [], []
        # Enlargements that wait until after the next convolution: result -> input, factors.
        self.resized = {}
        self.by_kind = {
            "CONV_2D": self.convolution,
            "DEPTHWISE_CONV_2D": self.depthwise,
            "Convolution2DTransposeBias": self.transposed,
            "RESIZE_BILINEAR": self.resize,
            "AVERAGE_POOL_2D": self.mean,
            "MEAN": self.mean,
            "HARD_SWISH": self.hard_swish,
            "RELU": lambda o: self.simple("Relu", o),
            "LOGISTIC": lambda o: self.simple("Sigmoid", o),
            "ADD": lambda o: self.fused(
                o, tflite.AddOptions, lambda out: self.node("Add", self.inputs(o), out)
            ),
            "MUL": lambda o: self.fused(
                o, tflite.MulOptions, lambda out: self.node("Mul", self.inputs(o), out)
            ),
            "DEQUANTIZE": lambda o: None,
        }

    def operator(self, operator):
        kind = self.source.kind(operator)
        if kind not in self.by_kind:
            raise ValueError(
                f"the file has an operator {kind}, which neither network of mattebox has"
            )
        self.by_kind[kind](operator)

    def inputs(self, operator):
        return [str(operator.Inputs(i)) for i in range(operator.InputsLength())]

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def simple(self, kind, operator):
        self.node(kind, [str(operator.Inputs(0))], str(operator.Outputs(0)))

    def fused(self, operator, options, make):
        """`make(output)`, followed by the activation that the operator carries."""
        out = str(operator.Outputs(0))
        activation = self.source.options(operator, options).FusedActivationFunction()
        if activation == tflite.ActivationFunctionType.NONE:
            make(out)
        elif activation == tflite.ActivationFunctionType.RELU:
            self.node("Relu", [make(out + "_linear")], out)
        else:
            raise ValueError(f"an operator has the fused activation {activation}")

    def weights(self, operator, axes):
        """The names of weights (their axes reordered) and bias."""
        kernel, bias = (self.source.values(operator.Inputs(i)) for i in (1, 2))
        return [
            self.constant(f"{operator.Inputs(1)}_w", kernel.transpose(axes)),
            self.constant(f"{operator.Inputs(2)}_b", bias),
        ]

    def window(self, operator, options, kernel):
        """Strides and padding. SAME puts the odd pixel of padding at the end."""
        strides, pads = [options.StrideH(), options.StrideW()], [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for axis, size in enumerate(self.source.shape(operator.Inputs(0))[1:3]):
                total = max(
                    (-(-size // strides[axis]) - 1) * strides[axis] + kernel[axis] - size, 0
                )
                pads[axis], pads[axis + 2] = total // 2, total - total // 2
        return dict(strides=strides, pads=pads, kernel_shape=list(kernel))

    def convolution(self, operator):
        kernel = self.source.shape(operator.Inputs(1))[1:3]
        window = self.window(operator, self.source.options(operator, tflite.Conv2DOptions), kernel)
        parameters = self.weights(operator, (0, 3, 1, 2))
        data = operator.Inputs(0)
        if data not in self.resized:
            self.fused(
                operator,
                tflite.Conv2DOptions,
                lambda out: self.node("Conv", [str(data)] + parameters, out, **window),
            )
            return
        assert kernel == [1, 1] and window["strides"] == [1, 1], (
            "only a 1x1 convolution may change places with an enlargement"
        )
        before, factors = self.resized.pop(data)
        small = self.node("Conv", [before] + parameters, f"{data}_small", **window)
        self.fused(operator, tflite.Conv2DOptions, lambda out: self.enlarge(small, out, factors))

    def depthwise(self, operator):
        shape = self.source.shape(operator.Inputs(1))
        options = self.source.options(operator, tflite.DepthwiseConv2DOptions)
        window = self.window(operator, options, shape[1:3]) | dict(group=shape[3])
        inputs = [str(operator.Inputs(0))] + self.weights(operator, (3, 0, 1, 2))
        self.fused(
            operator,
            tflite.DepthwiseConv2DOptions,
            lambda out: self.node("Conv", inputs, out, **window),
        )

    def transposed(self, operator):
        """MediaPipe's operator: [out][2][2][in], stride 2, so that no two windows overlap."""
        kernel = self.source.values(operator.Inputs(1))
        assert kernel.shape[:3] == (1, 2, 2), "the transposed convolution has another shape"
        data, out = str(operator.Inputs(0)), str(operator.Outputs(0))
        if self.plain:
            self.node(
                "ConvTranspose",
                [data] + self.weights(operator, (3, 0, 1, 2)),
                out,
                strides=[2, 2],
                kernel_shape=[2, 2],
            )
            return
        kernel = kernel.reshape(4, -1, 1, 1)
        bias = np.repeat(self.source.values(operator.Inputs(2)), 4)
        parameters = [self.constant("transposed_w", kernel), self.constant("transposed_b", bias)]
        self.node("Conv", [data] + parameters, out + "_four", kernel_shape=[1, 1])
        self.node("DepthToSpace", [out + "_four"], out, blocksize=2)

    def resize(self, operator):
        data, result = operator.Inputs(0), operator.Outputs(0)
        options = self.source.options(operator, tflite.ResizeBilinearOptions)
        assert options.HalfPixelCenters() and not options.AlignCorners()
        sizes = [self.source.shape(t)[1:3] for t in (data, result)]
        factors = [after / before for before, after in zip(*sizes)]
        users = [o for o in self.source.operators if result in o.InputsAsNumpy()]
        if not self.plain and [self.source.kind(o) for o in users] == ["CONV_2D"]:
            self.resized[result] = str(data), factors
        else:
            self.enlarge(str(data), str(result), factors)

    def enlarge(self, data, out, factors):
        scales = self.constant(f"{out}_scales", np.array([1, 1, *factors], np.float32))
        return self.node(
            "Resize",
            [data, "", scales],
            out,
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def mean(self, operator):
        data, out = str(operator.Inputs(0)), str(operator.Outputs(0))
        assert self.source.shape(operator.Outputs(0))[1:3] == [1, 1], (
            "only means over the whole map are known"
        )
        if self.plain:
            self.node(
                "ReduceMean",
                [data, self.constant(out + "_axes", np.array([2, 3]))],
                out,
                keepdims=1,
            )
        else:
            self.node("GlobalAveragePool", [data], out)

    def hard_swish(self, operator):
        data, out = str(operator.Inputs(0)), str(operator.Outputs(0))
        if self.plain:
            self.node("HardSigmoid", [data], out + "_gate", alpha=1 / 6, beta=0.5)
            self.node("Mul", [data, out + "_gate"], out)
        else:
            self.node("HardSwish", [data], out)


def convert(data, plain=False):
    """The ONNX model of a .tflite file's bytes."""
    source = Source(data)
    target = Target(source, plain)
    for operator in source.operators:
        target.operator(operator)

    def described(tensor):
        batch, height, width, channels = source.shape(tensor)
        return helper.make_tensor_value_info(
            str(tensor), TensorProto.FLOAT, [batch, channels, height, width]
        )

    graph = source.graph
    ends = [described(graph.Inputs(0))], [described(graph.Outputs(0))]
    made = helper.make_graph(target.nodes, "selfie_segmentation", *ends, target.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    with open(arguments.model, "rb") as file:
        onnx.save(convert(file.read(), arguments.plain), arguments.out)


if __name__ == "__main__":
    main()
