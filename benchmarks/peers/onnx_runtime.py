"""onnxruntime: the same network as an ONNX model, for prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

import fastmlp
from benchmarks.task import Task, initial
from fastmlp.export import to_onnx


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
        place = self.out.dtype, self.out.shape, self.out.ctypes.data
        binding.bind_output("probabilities", "cpu", 0, *place)
        self.session.run_with_iobinding(binding)
        return self.out


def _model(task: Task) -> bytes:
    model = fastmlp.MLP(task.layers, dtype=task.dtype)
    model.load_state_dict(initial(task).state_dict())
    return bytes(to_onnx(model).SerializeToString())
