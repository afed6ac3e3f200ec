"""``python -m fastmlp.train`` as a user of another framework would write it: load, train, test.

``python -m benchmarks.peers.script torch_mlp --hidden 128 --epochs 5 --batch-size 128 --lr 0.1``.
MNIST comes from fastmlp's own loader and its decoded copy on disk, so that the two programs differ
in nothing but the framework.
"""

from __future__ import annotations

import argparse
import importlib
import json

import fastmlp
from benchmarks.task import Task
from fastmlp.machine import peak_rss_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=("torch_mlp", "jax_scan"))
    parser.add_argument("--hidden", type=int, nargs="*", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    flags = parser.parse_args()
    peer = importlib.import_module(f"benchmarks.peers.{flags.peer}")
    task = Task(
        layers=(784, *flags.hidden, 10),
        batch_size=flags.batch_size,
        learning_rate=flags.lr,
        threads=flags.threads,
    )
    trainer = peer.Trainer(task, peer.variants(task)[0])
    for epoch in range(1, flags.epochs + 1):
        trainer.epoch(epoch)
    test = fastmlp.load_dataset("mnist")
    accuracy = trainer.accuracy(test.x_test, test.y_test)
    print(json.dumps({"test_accuracy": accuracy, "peak_rss_bytes": peak_rss_bytes()}))


if __name__ == "__main__":
    main()
