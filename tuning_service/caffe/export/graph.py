"""An ONNX graph under construction. Caffe's blobs may be overwritten; here each value has a name of its own."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tuning_service.caffe.dims import Shape
from tuning_service.caffe.net import PlannedLayer, net_outputs

# Old enough for runtimes of the last years; all operators that are used are in it.
_OPSET, _IR = 17, 8


class Graph:
    """`enter` a layer, add its nodes, `leave` it. The last value of a blob has the blob's name."""

    def __init__(self, name: str, plan: Sequence[PlannedLayer]) -> None:
        self._name = name
        self.outputs = net_outputs([one for one in plan if not one.is_data])
        self.inputs: list[str] = []
        self._writes = Counter(top for one in plan for top in one.tops)
        self._written: Counter[str] = Counter()
        self._values: dict[str, str] = {}
        self._shapes: dict[str, Shape] = {}
        self._batch = 0
        self._inputs: list[Any] = []
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._layer = ""
        self._made = 0
        self.bottoms: list[str] = []
        self.tops: list[str] = []

    def give(self, blob: str, shape: tuple[int, ...]) -> None:
        """An input; its first axis is the batch, of any size."""
        self._values[blob] = self._next(blob)
        self.inputs.append(self._values[blob])
        self._batch = shape[0]
        self._inputs.append(self._described(blob, shape))

    def enter(self, planned: PlannedLayer) -> None:
        """From here on `bottoms` and `tops` are the values' names of that layer."""
        self._layer = planned.name
        self.bottoms = [self._values[blob] for blob in planned.bottoms]
        self.tops = [self._next(blob) for blob in planned.tops]

    def leave(self, planned: PlannedLayer, shapes: Sequence[Shape]) -> None:
        """Later layers see its tops, which have these shapes."""
        self._values.update(zip(planned.tops, self.tops, strict=True))
        self._shapes.update(zip(planned.tops, shapes, strict=True))

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add an operator; returns its first output's name, a new one unless `outputs` are given."""
        import onnx

        self._made += 1
        outputs = outputs or [f"{self._layer}/{kind}_{self._made}"]
        name = f"{self._layer}/{self._made}"
        self._nodes.append(onnx.helper.make_node(kind, list(inputs), list(outputs), name=name, **attributes))
        return outputs[0]

    def constant(self, array: npt.NDArray[Any]) -> str:
        """A value that is part of the file."""
        import onnx

        self._made += 1
        name = f"{self._layer}/constant_{self._made}"
        self._constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def floats(self, *values: float) -> str:
        """One number, or a list of them."""
        return self.constant(np.array(values[0] if len(values) == 1 else values, np.float32))

    def whole(self, *values: int) -> str:
        """A list of integers, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def model(self) -> Any:
        """The finished ModelProto."""
        import onnx

        outputs = [self._described(blob, self._shapes[blob] or ()) for blob in self.outputs]
        graph = onnx.helper.make_graph(self._nodes, self._name, self._inputs, outputs, self._constants)
        opset = onnx.helper.make_opsetid("", _OPSET)
        return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_IR, producer_name="tuning_service")

    def _described(self, blob: str, shape: Sequence[int | None]) -> Any:
        import onnx

        dims = ["N" if index == 0 and dim == self._batch else dim for index, dim in enumerate(shape)]
        return onnx.helper.make_tensor_value_info(self._values[blob], onnx.TensorProto.FLOAT, dims)

    def _next(self, blob: str) -> str:
        self._written[blob] += 1
        last = self._written[blob] == self._writes[blob]
        return blob if last else f"{blob}/{self._written[blob]}"
