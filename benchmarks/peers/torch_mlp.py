"""PyTorch: preloaded floats, batches by ``index_select``, fused optimisers, eager or compiled."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.peers.torch_images import changed
from benchmarks.task import OPTIMIZERS, Task, floats, initial, order


def variants(task: Task) -> list[str]:
    """Eager and compiled with every number of threads: two are slower than one on small steps."""
    ways = ["eager", "compiled"] if task.search else ["eager"]
    return [f"{way}, threads: {n}" for way in ways for n in range(task.threads, 0, -1)]


class Trainer:
    def __init__(self, task: Task, variant: str) -> None:
        self.task = task
        way, threads = variant.split(", threads: ")
        self.threads = int(threads)
        x, y = floats(task)
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
        sizes = zip(task.layers, task.layers[1:], strict=False)
        linear = [nn.Linear(n, m, dtype=getattr(torch, task.dtype)) for n, m in sizes]
        dtype = getattr(torch, task.dtype)
        steps: list[nn.Module] = []
        for layer in linear[:-1]:
            steps.append(layer)
            if task.norm == "layer":
                steps.append(nn.LayerNorm(layer.out_features, dtype=dtype))
            steps.append({"relu": nn.ReLU, "gelu": nn.GELU}[task.activation]())
            if task.dropout:
                steps.append(nn.Dropout(task.dropout))
        steps.append(linear[-1])
        self.linear, self.network = linear, nn.Sequential(*steps)
        smoothing = task.label_smoothing
        self.loss: Any = lambda x, y: cross_entropy(self.network(x), y, label_smoothing=smoothing)
        self.compiled = self.loss
        if way == "compiled":
            self.compiled = torch.compile(self.loss, dynamic=False)
        self.reset()

    def reset(self, seed: int = 0) -> None:
        model = initial(self.task, seed)
        with torch.no_grad():
            for layer, W, b in zip(self.linear, model.weights, model.biases, strict=True):
                layer.weight.copy_(torch.from_numpy(W.T))
                layer.bias.copy_(torch.from_numpy(b))
        for layer in self.network:
            if isinstance(layer, nn.LayerNorm):
                layer.reset_parameters()
        kind, settings = OPTIMIZERS[self.task.optimizer]
        groups: Any = self.network.parameters()
        if "weight_decay" in settings:
            groups = [
                {"params": [p for p in self.network.parameters() if p.ndim == 2]},
                {"params": [p for p in self.network.parameters() if p.ndim < 2], "weight_decay": 0},
            ]
        make = getattr(torch.optim, kind)
        self.optimizer = make(groups, lr=self.task.learning_rate, fused=True, **settings)

    def epoch(self, seed: int, number: int = 1) -> tuple[float, float]:
        task, losses = self.task, []
        torch.set_num_threads(self.threads)  # one setting for the process, so for every variant
        start = time.perf_counter()
        torch.manual_seed(seed * task.epochs + number)  # of dropout and augmentation
        rates = task.rates(number)
        batches = torch.from_numpy(order(task, seed, number)).split(task.batch_size)
        for rows, rate in zip(batches, rates, strict=True):
            x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
            if task.augmentation:
                x = changed(x, **task.augmentation)
            if task.one_cycle is not None:
                for group in self.optimizer.param_groups:
                    group["lr"] = float(rate)
            self.optimizer.zero_grad(set_to_none=True)
            # The smaller last batch runs eagerly: another shape is another compilation.
            loss = (self.compiled if len(rows) == task.batch_size else self.loss)(x, y)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach() * len(rows))
        mean = float(torch.stack(losses).sum()) / task.samples
        return time.perf_counter() - start, mean

    def parameters(self) -> list[Any]:
        pairs = ((layer.weight.T, layer.bias) for layer in self.linear)
        return [array.detach().numpy() for pair in pairs for array in pair]

    def accuracy(self, x: Any, y: Any) -> float:
        with torch.inference_mode():
            pixels = torch.from_numpy(x).to(self.x.dtype) / 255
            return float((self.network(pixels).argmax(1).numpy() == y).mean())


class Predictor:
    def __init__(self, task: Task, variant: str) -> None:
        trainer = Trainer(task, variant)  # its network has the common parameters
        self.threads = trainer.threads
        self.probabilities: Any = lambda x: torch.softmax(trainer.network(x), dim=1)
        if variant.startswith("compiled"):
            self.probabilities = torch.compile(self.probabilities, dynamic=False)

    def predict(self, x: Any) -> Any:
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            return self.probabilities(torch.from_numpy(x)).numpy()
