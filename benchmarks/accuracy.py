"""Test accuracy of the plain ``python -m fastmlp.train`` on MNIST, over several seeds.

``python benchmarks/accuracy.py`` prints each seed's accuracy, their mean and standard deviation.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.arguments import Parser, fail, integer

PROGRAM = "accuracy.py"


def main() -> int:
    parser = Parser(prog=PROGRAM, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--seeds", type=integer(2, 10_000), default=10, help="seeds 0 ... N-1 (default: 10)"
    )
    arguments = parser.parse_args()
    accuracies = []
    for seed in range(arguments.seeds):
        command = [sys.executable, "-m", "fastmlp.train", "--data", "mnist", "--quiet"]
        run = subprocess.run(
            [*command, "--seed", str(seed), "--json", "-"], capture_output=True, text=True
        )
        if run.returncode:
            return fail(PROGRAM, run.stderr.strip(), 1)
        accuracies.append(json.loads(run.stdout)["test_accuracy"])
        print(f"seed {seed}: {accuracies[-1]:.2%}", flush=True)
    print(
        f"mean of {len(accuracies)} seeds: {statistics.mean(accuracies):.2%}, "
        f"standard deviation {statistics.stdev(accuracies):.2%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
