"""Is the rate that `fastmlp.find_learning_rate` suggests a good one? `python -m benchmarks.rates`.

Test accuracy after a short training at the suggestion, the median of some seeds, and around it.
"""

from __future__ import annotations

import statistics
from typing import Any

import fastmlp

# Data, hidden layers, epochs.
TASKS = [("digits", [64], 10), ("mnist", [128], 3), ("mnist", [256, 256], 3)]
OPTIMIZERS = [fastmlp.SGD, fastmlp.Adam]
FACTORS = [0.1, 1 / 3, 1.0, 3.0]
SEEDS = range(6)


def main() -> None:
    print("| network | optimiser | suggestion | x 0.1 | x 1/3 | x 1 | x 3 |")
    print("|---|---|---|---|---|---|---|")
    for name, hidden, epochs in TASKS:
        data = fastmlp.load_dataset(name)
        layers = [data.x_train.shape[1], *hidden, data.n_classes]
        for optimizer in OPTIMIZERS:
            rate = suggestion(data, layers, optimizer)
            scores = [accuracy(data, layers, optimizer(lr=f * rate), epochs) for f in FACTORS]
            network = f"{name} {'-'.join(map(str, layers))}"
            cells = [network, optimizer.__name__, f"{rate:.2g}", *scores]
            print(f"| {' | '.join(cells)} |", flush=True)


def suggestion(data: Any, layers: list[int], optimizer: Any) -> float:
    rates = []
    for seed in SEEDS:
        model = fastmlp.MLP(layers, seed=seed)
        curve = fastmlp.find_learning_rate(
            model, data.x_train, data.y_train, optimizer=optimizer(), seed=seed
        )
        if curve.suggestion is not None:
            rates.append(curve.suggestion)
    return statistics.median(rates)


def accuracy(data: Any, layers: list[int], optimizer: Any, epochs: int) -> str:
    model = fastmlp.MLP(layers)
    try:
        fastmlp.fit(model, data.x_train, data.y_train, epochs=epochs, optimizer=optimizer)
    except FloatingPointError:
        return "diverged"
    return f"{fastmlp.evaluate(model, data.x_test, data.y_test).accuracy:.1%}"


if __name__ == "__main__":
    main()
