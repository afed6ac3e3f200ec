"""The result of a training run: one JSON object, one table for people."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from fastmlp.config import TrainConfig
from fastmlp.history import plain
from fastmlp.machine import cpu, peak_rss_bytes, versions

SCHEMA = "fastmlp.train/1"


def result_of(
    config: TrainConfig,
    *,
    data: str,
    n_train: int,
    n_test: int,
    model: Any,
    history: Any,
    test: Any,
    threads: int,
    load_seconds: float,
    train_seconds: float,
) -> dict[str, Any]:
    """The JSON object that describes a finished run, of the schema `SCHEMA`.

    Parameters
    ----------
    config : TrainConfig
        What was asked for.
    data : str
        Name of the data set, of ``n_train`` and ``n_test`` samples.
    model, history, test : MLP, History, Evaluation
        Of either engine.
    threads : int
    load_seconds, train_seconds : float
    """
    seconds = sum(epoch.seconds for epoch in history.epochs)
    recorded = config.recorded()
    return {
        "schema": SCHEMA,
        "data": data,
        "engine": config.engine,
        "layers": list(model.layers),
        "activation": recorded["activation"],
        "optimizer": config.optimizer.partition(":")[0],
        "learning_rate": config.make("optimizer").lr,
        "batch_size": config.batch_size,
        "dtype": config.dtype,
        "threads": threads,
        "seed": config.seed,
        "n_train": n_train,
        "n_test": n_test,
        "parameters": model.n_parameters,
        "epochs": [_epoch(epoch) for epoch in history.epochs],
        "train_seconds": train_seconds,
        "load_seconds": load_seconds,
        "compile_seconds": history.compile_seconds,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "samples_per_second": len(history.epochs) * n_train / seconds if seconds else None,
        "peak_rss_bytes": peak_rss_bytes(),
        "parameter_sha256": parameter_sha256(model),
        "versions": versions(),
        "cpu": cpu(),
        "config": recorded,
    }


def table_of(result: Mapping[str, Any]) -> str:
    """The lines that a person reads."""
    return "\n".join(f"{name:>14}  {value}" for name, value in rows_of(result).items())


def rows_of(result: Mapping[str, Any]) -> dict[str, str]:
    """What a person reads, by its name."""
    epochs, config = result["epochs"], result["config"]
    activation, loss = result["activation"], config["loss"]
    rows = {
        "data": f"{result['data']}, {result['n_train']:,} training samples, "
        f"{result['n_test']:,} test samples",
        "network": f"{'-'.join(map(str, result['layers']))} "
        f"{activation if isinstance(activation, str) else '-'.join(activation)}, "
        f"{'' if loss == 'cross_entropy' else f'{loss}, '}"
        f"{result['parameters']:,} parameters, {result['dtype']}",
        "training": f"{_count(len(epochs), 'epoch')}, {config['optimizer']} at learning rate "
        f"{result['learning_rate']:g}, batch size {result['batch_size']}, seed {result['seed']}",
    }
    if epochs and epochs[-1]["val_loss"] is not None:
        last = epochs[-1]
        parts = [f"loss {last['val_loss']:.4f}"]
        if last["val_accuracy"] is not None:
            parts.insert(0, f"accuracy {last['val_accuracy']:.2%}")
        parts += [
            f"{name} {math.nan if value is None else value:.4f}"
            for name, value in last.get("metrics", {}).items()
        ]
        rows["validation"] = ", ".join(parts)
    if result["test_accuracy"] is not None:
        rows["test accuracy"] = f"{result['test_accuracy']:.2%}"
    rows["test loss"] = f"{result['test_loss']:.4f}"
    if result["samples_per_second"]:
        per_epoch = sum(epoch["seconds"] for epoch in epochs) / len(epochs)
        rows["time per epoch"] = f"{per_epoch:.4f} s"
        rows["throughput"] = (
            f"{result['samples_per_second']:,.0f} samples/s on "
            f"{_count(result['threads'], 'thread')}"
        )
    rows["time"] = (
        f"{result['train_seconds']:.2f} s training, {result['load_seconds']:.2f} s loading, "
        f"{result['compile_seconds']:.2f} s compiling"
    )
    return rows


def profile_of(
    result: Mapping[str, Any], phase_seconds: Mapping[str, float], fma_peak: float
) -> dict[str, Any]:
    """Where the time of a run went: what ``--profile`` adds to the JSON object.

    Parameters
    ----------
    result : dict
        The JSON object of the run.
    phase_seconds : dict
        Seconds of each phase of the step, see `fastmlp.History`.
    fma_peak : float
        GFLOP/s of one core.

    Returns
    -------
    dict
        ``gflops`` of a phase is the rate of a dense product of its size, whether or not zeros were
        skipped; None where the phase is no product, or took no time.
    """
    batch_size, n_train, epochs = result["batch_size"], result["n_train"], len(result["epochs"])
    batches = 1 if batch_size == "full" else math.ceil(n_train / batch_size)
    flops = {
        phase: count * n_train * epochs
        for phase, count in _flops_per_sample(result["layers"]).items()
    }
    return {
        "phases": {
            phase: {"seconds": seconds, "gflops": _gflops(flops.get(phase, 0), seconds)}
            for phase, seconds in phase_seconds.items()
        },
        "fma_peak_gflops_per_core": fma_peak,
        "steps": epochs * batches,
    }


def _flops_per_sample(layers: list[int]) -> dict[str, int]:
    """Floating-point operations of the phases that are matrix products."""
    products = [2 * n_in * n_out for n_in, n_out in pairwise(layers)]
    # Nothing is propagated back through the first layer, below which there is only the input.
    return {"forward": sum(products), "backward": sum(products[1:]), "update": sum(products)}


def _gflops(flops: float, seconds: float) -> float | None:
    return flops / seconds / 1e9 if flops and seconds else None


def profile_table_of(result: Mapping[str, Any], cores: int) -> str:
    """The lines that a person reads of ``result["profile"]``, on a machine of ``cores``."""
    profile = result["profile"]
    phases, per_core = profile["phases"], profile["fma_peak_gflops_per_core"]
    whole = sum(phase["seconds"] for phase in phases.values())
    products = [phase for phase in phases.values() if phase["gflops"] is not None]
    all_flops = sum(phase["gflops"] * phase["seconds"] for phase in products) * 1e9
    # More threads than cores do not raise the peak.
    busy = min(result["threads"], cores)

    def line(name: str, seconds: float, gflops: float | None) -> str:
        share = seconds / whole if whole else 0.0
        each = seconds / profile["steps"] * 1e6 if profile["steps"] else 0.0
        rate = "" if gflops is None else f"  {gflops:9.1f}  {gflops / (per_core * busy):7.2f}"
        return f"{name:>14}  {seconds:9.4f}  {share:6.1%}  {each:9.2f}{rate}"

    return "\n".join(
        [
            f"{'phase':>14}  {'seconds':>9}  {'share':>6}  {'us/step':>9}  {'GFLOP/s':>9}  of peak",
            *(line(name, phase["seconds"], phase["gflops"]) for name, phase in phases.items()),
            line("step", whole, _gflops(all_flops, whole)),
            "",
            f"The peak, measured in this run: {busy} x {per_core:.1f} GFLOP/s, FMAs in registers.",
            "GFLOP/s are those of dense products: with sparse input they can exceed the peak,",
            "because zeros are skipped.",
        ]
    )


def parameter_sha256(model: Any) -> str:
    """SHA-256 over W1, b1, [scale1, shift1, mean1, variance1,] W2, ..., little-endian arrays."""
    digest = hashlib.sha256()
    for array in model.state_dict().values():
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _epoch(record: Any) -> dict[str, Any]:
    """Fields of an epoch; of schema 1 as it was without metrics, where none were asked for."""
    fields = plain(record)
    if not fields["metrics"]:
        del fields["metrics"]
    return fields


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
