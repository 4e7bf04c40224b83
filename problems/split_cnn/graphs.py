"""Head and tail of a split network as ONNX graphs, written node by node.

Both take a batch of any size. ``image`` (batch, channels, height, width) float32 goes into the
head and ``payload`` comes out; the tail takes ``payload`` and gives ``scores`` (batch, classes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

from evonas.problems.split_cnn.quantise import Quantiser
from evonas.problems.split_cnn.split import Split
from evonas.problems.split_cnn.subnet import Block, Classifier, Conv

# The first operator set with bitwise operators (the 4-bit payload), and the file format that
# came with it: onnxruntime runs both since 1.14.
OPSET = 18
IR_VERSION = 8

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
}


def head_model(split: Split) -> onnx.ModelProto:
    """Build the head: units up to the cut, then quantisation."""
    graph = _Graph("image")
    for unit in split.subnet.units[: split.cut]:
        graph.unit(unit)
    graph.quantise(split)
    return graph.model("head", _image(split), _payload(split))


def tail_model(split: Split) -> onnx.ModelProto:
    """Build the tail: dequantisation, then the units from the cut on."""
    graph = _Graph("payload")
    graph.dequantise(split)
    for unit in split.subnet.units[split.cut :]:
        graph.unit(unit)
    return graph.model("tail", _payload(split), _scores(split))


def _image(split: Split) -> onnx.ValueInfoProto:
    return _value("image", "float32", split.subnet.input_shape)


def _payload(split: Split) -> onnx.ValueInfoProto:
    return _value("payload", split.quantiser.dtype, split.quantiser.payload_shape)


def _scores(split: Split) -> onnx.ValueInfoProto:
    return _value("scores", "float32", split.subnet.shapes[-1])


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TYPES[dtype], ["batch", *shape])


class _Graph:
    """A chain of nodes under construction; ``last`` names the value at its end."""

    def __init__(self, start: str) -> None:
        self.last = start
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Append a node that takes the given values, and return the name of its output."""
        name = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.last = name
        return name

    def constant(self, name: str, array: ArrayLike) -> str:
        """Add a constant and return its name."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def unit(self, unit: Block | Classifier) -> None:
        if isinstance(unit, Classifier):
            self.classifier(unit)
            return
        start = self.last
        for index, conv in enumerate(unit.convs):
            self.conv(f"{unit.name}.conv{index + 1}", conv)
        if unit.residual:
            self.add("Add", start, self.last, name=f"{unit.name}.sum")

    def conv(self, name: str, conv: Conv) -> None:
        self.add(
            "Conv",
            self.last,
            self.constant(f"{name}.weight", conv.weight),
            self.constant(f"{name}.bias", conv.bias),
            name=name,
            group=conv.groups,
            kernel_shape=list(conv.weight.shape[2:]),
            pads=[conv.padding] * 4,
            strides=[conv.stride] * 2,
        )
        if conv.relu:
            self.add("Relu", self.last, name=f"{name}.relu")

    def classifier(self, unit: Classifier) -> None:
        self.add("GlobalAveragePool", self.last, name=f"{unit.name}.pool")
        self.add("Flatten", self.last, name=f"{unit.name}.flat")
        weight = self.constant(f"{unit.name}.weight", unit.weight)
        bias = self.constant(f"{unit.name}.bias", unit.bias)
        self.add("Gemm", self.last, weight, bias, name=f"{unit.name}.linear", transB=1)

    def quantise(self, split: Split) -> None:
        """Write :meth:`Quantiser.quantise` as nodes."""
        quantiser = split.quantiser
        if quantiser.bits == 16:
            self.add("Cast", self.last, to=TensorProto.FLOAT16)
        if quantiser.bits >= 16:
            return
        level = self.add("QuantizeLinear", self.last, *self.ranges(quantiser), axis=1)
        if quantiser.bits == 4:
            level = self.add("Clip", level, "", self.constant("top", np.uint8(15)))
            level = self.add("Flatten", level)
            if quantiser.elements % 2:
                pads = self.constant("pads", np.array([0, 0, 0, 1], np.int64))
                level = self.add("Pad", level, pads)
            middle, end = quantiser.payload_bytes, 2 * quantiser.payload_bytes
            first = self.slice(level, 0, middle)
            second = self.slice(level, middle, end)
            four = self.constant("four", np.uint8(4))
            high = self.add("BitShift", first, four, direction="LEFT")
            self.add("BitwiseOr", high, second)

    def dequantise(self, split: Split) -> None:
        """Write :meth:`Quantiser.dequantise` as nodes."""
        quantiser = split.quantiser
        if quantiser.bits == 4:
            payload = self.last
            high = self.add(
                "BitShift", payload, self.constant("four", np.uint8(4)), direction="RIGHT"
            )
            low = self.add("BitwiseAnd", payload, self.constant("fifteen", np.uint8(15)))
            self.add("Concat", high, low, axis=1)
            if quantiser.elements % 2:
                self.slice(self.last, 0, quantiser.elements)
            shape = self.constant("shape", np.array([-1, *quantiser.shape], np.int64))
            self.add("Reshape", self.last, shape)
        if quantiser.bits == 16:
            self.add("Cast", self.last, to=TensorProto.FLOAT)
        if quantiser.bits < 16:
            self.add("DequantizeLinear", self.last, *self.ranges(quantiser), axis=1)

    def ranges(self, quantiser: Quantiser) -> tuple[str, str]:
        """Add step and zero of each channel as constants."""
        step = self.constant("step", quantiser.step.numpy())
        return step, self.constant("zero", quantiser.zero.numpy())

    def slice(self, value: str, start: int, stop: int) -> str:
        """Take columns ``[start, stop)`` of a (batch, columns) value."""
        bounds = [self.constant(f"at_{n}", np.array([n], np.int64)) for n in (start, stop, 1)]
        return self.add("Slice", value, *bounds)

    def model(
        self, name: str, start: onnx.ValueInfoProto, end: onnx.ValueInfoProto
    ) -> onnx.ModelProto:
        """Finish the model: the value at the end of the chain gets the output's name."""
        # An empty chain (features cross as they are) becomes one Identity node.
        if self.nodes:
            self.nodes[-1].output[0] = end.name
        else:
            self.add("Identity", start.name, name=end.name)
        graph = helper.make_graph(self.nodes, name, [start], [end], list(self.constants.values()))
        model = helper.make_model(
            graph,
            producer_name="evonas",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model
