"""scikit-learn's own tests of its multilayer perceptrons, run on the estimators of fastmlp.

    python tests/sklearn_suite.py

The module of tests is the one in the scikit-learn that is installed. One line of it is replaced:
the import of the two names.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
OURS = "from fastmlp.sklearn import MLPClassifier, MLPRegressor"

CANNOT_PASS = {
    "test_gradient": "calls the private _loss_grad_lbfgs, with buffers of scikit-learn's own loop",
}
"""Test (name in the module, with its parameters if they decide) to the reason.

Each reaches into private state. One that passes after all, or is no longer there, is an error.
"""

PROJECT = Path(__file__).parents[1]


class Outcome(NamedTuple):
    result: str  # passed, failed, error, skipped
    message: str


def module_of_tests() -> str:
    """The text of scikit-learn's module of tests, with our import."""
    package = importlib.util.find_spec("sklearn.neural_network")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "tests" / "test_mlp.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    if lines.count(THEIRS) != 1:
        raise ValueError(f"{path} must have this line once: {THEIRS}")
    return "\n".join(OURS if line == THEIRS else line for line in lines) + "\n"


def run_suite() -> tuple[dict[str, Outcome], str]:
    """Each test's outcome, and what pytest printed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_mlp.py").write_text(module_of_tests(), encoding="utf-8")
        # scikit-learn's tests let warnings pass that our settings make errors.
        (folder / "pytest.ini").write_text("[pytest]\n")
        report = folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "test_mlp.py", "-q", "--tb=short"]
        command += ["-p", "no:cacheprovider", "-p", "sklearn.conftest"]  # its fixtures
        command += ["-c", "pytest.ini", "--rootdir", name, f"--junitxml={report}"]
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        environment.pop("PYTEST_ADDOPTS", None)
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        printed = done.stdout + done.stderr
        if not report.exists():
            raise RuntimeError(f"pytest wrote no report:\n{printed}")
        return read_report(report), printed


def read_report(path: Path) -> dict[str, Outcome]:
    outcomes = {}
    for case in ElementTree.parse(path).iter("testcase"):
        outcome = Outcome("passed", "")
        for kind, result in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
            for element in case.iter(kind):
                outcome = Outcome(result, element.get("message", ""))
        outcomes[case.get("name", "")] = outcome
    return outcomes


def find_problems(
    outcomes: Mapping[str, Outcome], cannot_pass: Mapping[str, str] = CANNOT_PASS
) -> list[str]:
    """One line for each test whose outcome is not what the table says; none if all is well."""
    if not outcomes:
        return ["no test was run"]
    problems = [f"{name}: in CANNOT_PASS, but not there" for name in cannot_pass.keys() - outcomes]
    for name, (result, message) in outcomes.items():
        if name in cannot_pass:
            if result != "failed":
                problems.append(f"{name}: in CANNOT_PASS, but {result}")
        elif result != "passed":
            problems.append(f"{name}: {result}: {message}")
    return problems


def main() -> int:
    outcomes, printed = run_suite()
    problems = find_problems(outcomes)
    if problems:
        print(printed)
    for name, reason in CANNOT_PASS.items():
        print(f"cannot pass: {name}: {reason}")
    for problem in problems:
        print(problem)
    passed = sum(outcome.result == "passed" for outcome in outcomes.values())
    print(f"{passed} of {len(outcomes)} tests pass")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
