"""The gate against slowdowns: what noise it survives, what it finds, what it refuses."""

import itertools
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks import commits, gate, sides
from benchmarks.commits import Commit, CommitError
from benchmarks.paired import CANNOT_TELL, FALSE_ALARMS, LIMIT, LOOKS, SLOWER, Comparison, interval
from benchmarks.peers import PEERS, Peer
from benchmarks.rounds import Outcome, measure
from benchmarks.sides import Side, SideError
from benchmarks.task import Task

TASKS = {name: Task((784, 8, 10)) for name in "abcd"}
COMMIT = Commit("0" * 40, "a commit")
PASSED = "not slower"


class SimulatedSide:
    """A side whose runs take 20 ms, times ``factor``, plus time slices that others take.

    ``noise`` is the standard deviation of the logarithm; of a run in ``1 / busy`` a slice is lost.
    """

    def __init__(self, seed, factor=1.0, noise=0.05, busy=0.2, drift=None):
        self.rng = np.random.default_rng(seed)
        self.factor, self.noise, self.busy, self.drift = factor, noise, busy, drift

    def prepare(self, task):
        return {"parameters": "the same", "loss": 1.0}

    def run(self, seed, rest):
        seconds = 0.02 * self.factor * np.exp(self.noise * self.rng.standard_normal())
        if self.drift is not None:
            seconds *= next(self.drift)
        return seconds + 0.06 * (self.rng.random() < self.busy)


def verdicts(before, after, seconds=60.0, tasks=TASKS):
    """Of the whole procedure, with a clock that no machine is needed for."""
    outcomes = measure(before, after, tasks, seconds, lambda text: None, itertools.count().__next__)
    return {title: outcome.comparison.verdict for title, outcome in outcomes.items()}


def test_the_same_code_never_fails_the_gate():
    for seed in range(25):
        found = verdicts(SimulatedSide(seed, noise=0.2), SimulatedSide(seed + 1000, noise=0.2), 1e9)
        assert SLOWER not in found.values(), seed


def test_a_slowdown_just_allowed_fails_the_gate_less_often_than_one_run_in_a_hundred():
    # At the limit itself every look is as likely to be wrong as it may be.
    failed = 0
    for seed in range(60):
        before = SimulatedSide(seed, noise=0.1, busy=0)
        after = SimulatedSide(seed + 1000, LIMIT, noise=0.1, busy=0)
        failed += SLOWER in verdicts(before, after, 160.0).values()
    assert failed <= 1


def test_a_slowdown_of_30_percent_is_found_on_a_busy_machine():
    found = [
        SLOWER in verdicts(SimulatedSide(seed), SimulatedSide(seed + 1000, 1.3), 1e9).values()
        for seed in range(25)
    ]
    assert all(found)


def test_a_quiet_machine_needs_the_first_look_alone():
    before, after = SimulatedSide(0, noise=0.02, busy=0), SimulatedSide(1, noise=0.02, busy=0)
    outcomes = measure(before, after, TASKS, 1e9, lambda text: None, itertools.count().__next__)
    assert {len(outcome.comparison.before) for outcome in outcomes.values()} == {LOOKS[0]}
    assert {outcome.comparison.verdict for outcome in outcomes.values()} == {PASSED}


def test_a_machine_too_noisy_to_tell_passes_and_says_so():
    before, after = SimulatedSide(0, noise=2.0), SimulatedSide(1, 1.3, noise=2.0)
    outcomes = measure(before, after, TASKS, 100.0, lambda text: None, itertools.count().__next__)
    assert gate.overall(outcomes) == CANNOT_TELL
    text = gate.table(COMMIT, COMMIT, outcomes)
    assert "a noisy machine: ratios spread over up to" in text
    assert "passed, but cannot tell" in text


def test_a_machine_that_slows_down_steadily_falls_on_both_alike():
    drift = iter(1.001**k for k in itertools.count())  # by 7 % in a look of 16 rounds
    before, after = (SimulatedSide(0, noise=0, busy=0, drift=drift) for _ in range(2))
    outcome = measure(before, after, {"a": TASKS["a"]}, 1e9, str, itertools.count().__next__)["a"]
    assert outcome.comparison.ratio == pytest.approx(1, abs=1e-5)


def test_what_the_commit_before_cannot_do_is_left_out_by_name():
    class Old(SimulatedSide):
        def prepare(self, task):
            raise SideError("AttributeError: no such thing")

    outcomes = measure(Old(0), SimulatedSide(1), TASKS, 1e9, str)
    assert all(outcome.left_out.endswith("no such thing") for outcome in outcomes.values())
    assert "left out: the commit before cannot do it" in gate.table(COMMIT, COMMIT, outcomes)


def test_what_only_the_commit_after_cannot_do_is_an_error():
    class New(SimulatedSide):
        def prepare(self, task):
            raise SideError("broken")

    with pytest.raises(SideError, match="broken"):
        measure(SimulatedSide(0), New(1), TASKS, 1e9, str)


def test_other_bits_are_told():
    class Other(SimulatedSide):
        def prepare(self, task):
            return {"parameters": "others", "loss": 1.5}

    outcomes = measure(SimulatedSide(0), Other(1), TASKS, 10.0, str, itertools.count().__next__)
    assert "mean loss 1.000000 and 1.500000" in gate.table(COMMIT, COMMIT, outcomes)


@given(
    st.lists(st.floats(0.1, 10), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.01, 0.001, 1e-4]),
)
@settings(deadline=None)
def test_the_interval_is_that_of_the_sign_test(ratios, error):
    low, high = interval(ratios, error)
    ordered, n = sorted(ratios), len(ratios)
    # The largest k with P(fewer than k of n are below the median) <= error, by the binomial.
    k = int(binom.cdf(np.arange(n + 1), n, 0.5).searchsorted(error, side="right"))
    if k == 0:
        assert (low, high) == (None, None)
    else:
        assert (low, high) == (ordered[k - 1], ordered[n - k])


@given(st.lists(st.floats(0.1, 10), min_size=20, max_size=60), st.floats(0.1, 10))
@settings(deadline=None)
def test_the_interval_goes_with_the_unit_and_its_ends_change_places_with_the_sides(ratios, unit):
    low, high = interval(ratios, 0.001)
    assert interval([ratio * unit for ratio in ratios], 0.001) == (low * unit, high * unit)
    turned = interval([1 / ratio for ratio in ratios], 0.001)
    assert turned == pytest.approx((1 / high, 1 / low))


def test_every_look_at_every_workload_has_its_share_of_the_false_alarms(monkeypatch):
    seen = []
    monkeypatch.setattr(Comparison, "look", lambda self, error: seen.append(error))
    measure(SimulatedSide(0), SimulatedSide(1), TASKS, 1e9, str)
    assert len(seen) == len(TASKS) * len(LOOKS)
    assert sum(seen) == pytest.approx(FALSE_ALARMS)


def test_the_time_there_is_goes_to_the_workloads_in_equal_shares():
    tasks = dict.fromkeys(TASKS, TASKS["a"])
    ticks = itertools.count()
    before, after = SimulatedSide(0, noise=2.0), SimulatedSide(1, noise=2.0)
    outcomes = measure(before, after, tasks, 40.0, str, ticks.__next__)
    counts = [len(outcome.comparison.before) for outcome in outcomes.values()]
    assert max(counts) - min(counts) <= 2  # a look at the clock is a tick, too
    assert sum(counts) <= 40


# Commits


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "repository"
    for name in ("fastmlp", "reference", "benchmarks"):
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text("number = 1\n")
    git(root, "init", "-q")
    commit(root, "first")
    (root / "fastmlp" / "__init__.py").write_text("number = 2\n")
    commit(root, "second")
    return root


def git(root, *arguments):
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *names, *arguments], cwd=root, check=True, capture_output=True)


def commit(root, message):
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cache")
def test_a_commit_gives_its_own_files_without_benchmarks(repository):
    found = {name: commits.find(name, repository) for name in ("HEAD~1", "HEAD")}
    assert [commit.subject for commit in found.values()] == ["first", "second"]
    for number, commit_ in enumerate(found.values(), 1):
        folder = commits.files(commit_, repository)
        assert (folder / "fastmlp" / "__init__.py").read_text() == f"number = {number}\n"
        assert sorted(path.name for path in folder.iterdir()) == ["fastmlp", "reference"]
        assert commits.files(commit_, repository) == folder
    assert len(list(folder.parent.iterdir())) == 2  # nothing temporary is left


def test_changed_files_are_those_of_the_packages_new_ones_too(repository):
    assert commits.changed(repository) == []
    (repository / "benchmarks" / "new.py").touch()
    assert commits.changed(repository) == []
    (repository / "reference" / "new.py").touch()
    (repository / "fastmlp" / "__init__.py").write_text("number = 3\n")
    assert commits.changed(repository) == ["fastmlp/__init__.py", "reference/new.py"]


@pytest.mark.parametrize("name", ["HEAD~2", "nosuch", "--help", "", "HEAD:fastmlp"])
def test_what_names_no_commit_is_refused(repository, name):
    with pytest.raises(CommitError, match="names no commit of this repository"):
        commits.find(name, repository)


def test_a_shallow_clone_is_told_how_to_get_the_commit_before(repository, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), str(clone))
    with pytest.raises(CommitError, match="shallow clone"):
        commits.find("HEAD~1", clone)


def test_a_folder_without_git_and_a_commit_without_the_package_are_refused(tmp_path, repository):
    with pytest.raises(CommitError, match="no git checkout"):
        commits.find("HEAD", tmp_path)
    git(repository, "rm", "-rq", "reference")
    commit(repository, "third")
    with pytest.raises(CommitError, match="third has no fastmlp and reference"):
        commits.files(commits.find("HEAD", repository), repository)


# The command


@pytest.fixture
def here(repository, monkeypatch):
    """The command, run in the small repository."""
    for name in ("find", "changed", "files"):
        function = getattr(commits, name)
        monkeypatch.setattr(
            commits, name, lambda *a, function=function: function(*a, root=repository)
        )
    return repository


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        gate.main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("gate.py: error: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--seconds", "0"], "must be an integer from 1 to 3600"),
        (["--seconds", "x"], "must be an integer from 1 to 3600"),
        (["nosuch"], "'nosuch' names no commit"),
        (["HEAD", "HEAD~7"], "'HEAD~7' names no commit"),
        (["--json", "nosuch/gate.json"], "--json: nosuch is no folder"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_input_is_one_line_and_status_2(capsys, arguments, what):
    assert what in refusal(capsys, *arguments)


def test_changes_that_are_in_no_commit_are_refused_but_not_beside_a_hash(capsys, here, monkeypatch):
    (here / "fastmlp" / "new.py").touch()
    assert "fastmlp/new.py is not as in HEAD" in refusal(capsys)
    monkeypatch.setattr(gate, "_measure", lambda *a: outcomes_of(1.0))
    assert gate.main(["HEAD~1", commits.find("HEAD").hash]) == 0


def outcomes_of(factor):
    """Of a workload that takes ``factor`` times as long."""
    comparison = Comparison([1.0] * 20, [factor] * 20)
    comparison.look(0.001)
    return {"a workload": Outcome(comparison)}


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, PASSED), (1.14, PASSED), (1.2, SLOWER)])
@pytest.mark.usefixtures("here")
def test_status_and_json_say_the_verdict(capsys, monkeypatch, tmp_path, factor, verdict):
    monkeypatch.setattr(gate, "_measure", lambda *a: outcomes_of(factor))
    path = tmp_path / "gate.json"
    assert gate.main(["--json", str(path)]) == (verdict == SLOWER)
    assert verdict in capsys.readouterr().out
    assert gate.main(["--json", "-"]) == (verdict == SLOWER)
    for text in (path.read_text(), capsys.readouterr().out):
        said = json.loads(text)
        assert said["verdict"] == said["workloads"]["a workload"]["verdict"] == verdict
        assert said["workloads"]["a workload"]["ratio"] == factor
        assert said["workloads"]["a workload"]["noisy"] is False
        assert (said["before"]["subject"], said["after"]["subject"]) == ("first", "second")


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (SideError("x"), 1)])
@pytest.mark.usefixtures("here")
def test_an_end_before_the_end_is_one_line(capsys, monkeypatch, error, status):
    def stop(*arguments):
        raise error

    monkeypatch.setattr(gate, "_measure", stop)
    assert gate.main([]) == status
    assert capsys.readouterr().err.count("\n") == 1


# Sides


def test_a_side_measures_the_files_that_it_is_given(tmp_path):
    for package in ("fastmlp", "reference"):
        shutil.copytree(sides.ROOT / package, tmp_path / package)
    with (tmp_path / "fastmlp" / "__init__.py").open("a") as file:
        file.write(
            "\ndef fit(*arguments, **settings):\n    raise ValueError('of the other tree')\n"
        )
    task = Task((784, 8, 10), data="zeros", samples=256, search=False)
    with (
        Side("fast_call", 1, tmp_path) as side,
        pytest.raises(SideError, match="of the other tree"),
    ):
        side.prepare(task)


def test_a_side_trains_and_predicts_by_either_clock():
    with Side("fast_call", 1) as side:
        for clock in ("perf_counter", "process_time"):
            task = Task((784, 8, 10), data="zeros", samples=256, search=False, clock=clock)
            assert len(side.prepare(task)["parameters"]) == 64
            assert side.run(1, rest=False) > 0
            assert side.prepare(replace(task, samples=1, calls=100))["difference"] < 1e-5
            assert side.run(1, rest=False) > 0


def test_a_peer_that_is_not_installed_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(PEERS, "nosuch", Peer("None such", ("no_such_package",)))
    with pytest.raises(SideError, match=r"no_such_package not installed: pip install -e"):
        Side("nosuch", 1)
