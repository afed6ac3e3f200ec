"""scikit-learn's own tests of its multilayer perceptrons pass on ours."""

import pytest

from tests.sklearn_suite import (
    CANNOT_PASS,
    OURS,
    THEIRS,
    Outcome,
    find_problems,
    module_of_tests,
    run_suite,
)

PASSED = Outcome("passed", "")
FAILED = Outcome("failed", "assert 1 == 2")
TABLE = {"test_a": "a reason"}


def test_scikit_learns_own_tests_pass():
    outcomes, printed = run_suite()
    # As many functions as there are in the module: a run that stops early is none.
    functions = {
        line.removeprefix("def ").split("(")[0]
        for line in module_of_tests().splitlines()
        if line.startswith("def test_")
    }
    assert {name.split("[")[0] for name in outcomes} == functions
    problems = find_problems(outcomes)
    assert not problems, "\n".join([*problems, printed])


def test_only_the_import_is_replaced():
    lines = module_of_tests().splitlines()
    assert lines.count(OURS) == 1
    assert THEIRS not in lines
    # No other way to scikit-learn's own estimators is in the module.
    assert not any("neural_network" in line for line in lines if "import" in line)


def test_each_that_cannot_pass_has_a_reason():
    assert set(CANNOT_PASS) <= {"test_gradient"}
    assert all(CANNOT_PASS.values())


@pytest.mark.parametrize(
    ("outcomes", "count"),
    [
        ({"test_a": FAILED, "test_b": PASSED}, 0),
        ({"test_a": FAILED, "test_b": FAILED}, 1),
        ({"test_a": FAILED, "test_b": Outcome("error", "in a fixture")}, 1),
        ({"test_a": FAILED, "test_b": Outcome("skipped", "")}, 1),
        ({"test_a": PASSED, "test_b": PASSED}, 1),
        ({"test_a": Outcome("skipped", ""), "test_b": PASSED}, 1),
        ({"test_b": PASSED}, 1),
        ({}, 1),
    ],
)
def test_an_outcome_that_is_not_expected_is_a_problem(outcomes, count):
    assert len(find_problems(outcomes, TABLE)) == count
