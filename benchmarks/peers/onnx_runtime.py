"""onnxruntime: the same network as an ONNX model, for prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from benchmarks.task import Task, initial


def variants(task: Task) -> list[str]:
    return [f"{way}, threads: {n}" for way in ("run", "bound") for n in range(1, task.threads + 1)]


class Predictor:
    def __init__(self, task: Task, variant: str) -> None:
        way, threads = variant.split(", threads: ")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            _model(task), options, providers=["CPUExecutionProvider"]
        )
        self.out = np.empty((task.samples, task.layers[-1]), dtype=task.dtype)
        self.predict = self.run if way == "run" else self.run_bound

    def run(self, x: Any) -> Any:
        return self.session.run(None, {"x": x})[0]

    def run_bound(self, x: Any) -> Any:
        """Without a new output array for every call."""
        binding = self.session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("p", "cpu", 0, self.out.dtype, self.out.shape, self.out.ctypes.data)
        self.session.run_with_iobinding(binding)
        return self.out


def _model(task: Task) -> bytes:
    model, nodes, values, last = initial(task), [], [], "x"
    for l, (W, b) in enumerate(zip(model.weights, model.biases, strict=True)):
        values += [numpy_helper.from_array(W, f"W{l}"), numpy_helper.from_array(b, f"b{l}")]
        nodes.append(helper.make_node("Gemm", [last, f"W{l}", f"b{l}"], [f"z{l}"]))
        nodes.append(helper.make_node("Relu", [f"z{l}"], [f"a{l}"]))
        last = f"a{l}"
    nodes[-1] = helper.make_node("Softmax", [f"z{l}"], ["p"], axis=1)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(task.dtype))
    x, p = (
        helper.make_tensor_value_info(name, kind, ["n", size])
        for name, size in (("x", task.layers[0]), ("p", task.layers[-1]))
    )
    graph = helper.make_graph(nodes, "mlp", [x], [p], values)
    opset = helper.make_opsetid("", 17)
    built = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.checker.check_model(built)
    return bytes(built.SerializeToString())
