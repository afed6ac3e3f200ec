"""Training on the ranks of a real mpiexec: one process's result, and no rank left waiting.

Each test may start processes once or twice: that is most of its time.
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastmlp
from tests.equality import TOLERANCE
from tests.features import FEATURES
from tests.mpi import LAUNCHERS, ROOT, SECONDS, Launch, environment, launch, needs_open_mpi

COMMAND = ["-m", "fastmlp.train", "--distributed", "--data", "digits", "--threads", "1"]
COMMAND += ["--dtype", "float64", "--hidden", "16", "--lr", "0.05"]

RANK = """
import os, sys
from fastmlp.train import main
from mpi4py import MPI
open(os.path.join(sys.argv[1], f"rank{MPI.COMM_WORLD.rank}"), "w").write(str(os.getpid()))
sys.exit(main(sys.argv[2:]))
"""
"""The command, which writes its process id to a file: a launcher does not tell those of its own."""


def said_by_ranks(out):
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def lines_of_ours(err):
    """What the launcher and MPI_Abort say is theirs."""
    return [line for line in err.splitlines() if line.startswith("fastmlp")]


@pytest.mark.parametrize(
    ("launcher", "ranks", "dtype", "every"),
    [
        ("mpich", 3, "float64", 1),
        ("mpich", 2, "float32", 8),
        pytest.param("openmpi", 2, "float64", 8, marks=needs_open_mpi),
    ],
)
def test_ranks_end_with_the_result_of_one_process_and_with_the_same_bits(
    launcher, ranks, dtype, every
):
    status, out, err = launch(launcher, ranks, "tests/ranks_equal.py", dtype, every)
    assert status == 0, err
    (answer,) = said_by_ranks(out)
    assert len(answer["differences"]) == -(-len(FEATURES) // every) + 12
    far = {k: d for k, d in answer["differences"].items() if not d <= TOLERANCE[dtype]}
    assert not far


@pytest.fixture(scope="module", params=LAUNCHERS)
def refusals(request, tmp_path_factory):
    """What both ranks say of bad input, in two launches."""
    both = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("rows")
        status, out, err = launch(request.param, 2, "tests/ranks_fail.py", "nothing", folder)
        assert status == 0, err
        both.append(said_by_ranks(out))
    return both


def test_two_runs_with_as_many_ranks_give_the_same_bits(refusals):
    bits = {one["bits"] for said in refusals for one in said}
    assert len(bits) == 1


ALIKE = {
    "no communicator": "TypeError: comm must be a communicator of mpi4py",
    "batch": "ValueError: batch_size must be 2 or more, a sample for each rank, not 1 of 60",
    "other epochs": "ValueError: epochs must be the same on all ranks: 3 on rank 0, 4 on rank 1",
    "other network": "ValueError: layers must be the same on all ranks: (6, 4, 3) on rank 0",
    "other kind": "ValueError: the kind of x must be the same on all ranks: float of float64",
    "weights of some": "ValueError: sample_weight must be the same on all ranks: weights on",
    "on disk": "ValueError: x has 30 rows on disk, and with comm each rank holds its own in memory",
    "no weights": "ValueError: sample_weight and class_weight leave no sample",
    "loss": "FloatingPointError: the loss became NaN or infinite in epoch 1, step 2",
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_all_ranks_refuse_each_says_in_the_same_words(refusals, case):
    first, second = (one[case] for one in refusals[0])
    assert first == second
    assert first.startswith(ALIKE[case])


@pytest.mark.parametrize(
    ("case", "failing", "message"),
    [
        ("no rows", 1, "ValueError: x is empty: shape (0, 6), at least one sample is needed"),
        ("nan", 1, "ValueError: x must be finite in float64: the value at [3, 2] is nan"),
        ("callback", 0, "LookupError: no such thing"),
        ("callback midway", 0, "LookupError: no such thing"),
    ],
)
def test_what_one_rank_refuses_ends_the_other(refusals, case, failing, message):
    said = [one[case] for one in refusals[0]]
    assert said[failing] == message
    assert said[1 - failing] == f"RankError: rank {failing}: {message}"


def test_all_ranks_have_the_parameters_that_callbacks_of_the_first_leave(refusals):
    assert [one["parameters"] for one in refusals[0]] == [24.0, 24.0]


def test_the_same_rows_on_two_ranks_are_warned_of_once(refusals):
    first, second = refusals[0]
    assert first["same rows"].startswith("x and y of ranks 0 and 1 are the same 9 samples")
    assert first["same rows, dealt"] == second["same rows"] == second["same rows, dealt"] == ""


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("raises", 1, "fastmlp: rank 1: MemoryError: no room for the rows: all ranks end"),
        ("in a step", 1, "fastmlp: rank 1: MemoryError: no room for the rows: all ranks end"),
        ("exits", 1, "fastmlp: rank 1: SystemExit: 7: all ranks end"),
        ("dies", 9, None),
    ],
)
def test_a_rank_that_fails_alone_ends_all(launcher, what, status, message, tmp_path):
    # A few seconds, most of them the start of Python; MPI itself would wait without end.
    script = "tests/ranks_fail.py"
    ended, _, err = launch(launcher, 2, script, what, tmp_path, seconds=60)
    assert ended == status
    assert lines_of_ours(err) == ([message] if message else [])


def test_ranks_whose_parameters_differ_are_an_error_of_all(tmp_path):
    status, _, err = launch("mpich", 2, "tests/ranks_fail.py", "differs", tmp_path)
    assert status == 1
    assert err.count("RuntimeError: the parameters of rank 1 are not those of rank 0") == 2


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_command_on_ranks_gives_the_result_of_one_process(launcher, tmp_path):
    flags = ["--epochs", "3", "--batch-size", "50", "--val-fraction", "0.1", "--metrics", "f1"]
    status, out, err = launch(launcher, 2, *COMMAND, *flags, "--json", "-")
    assert status == 0, err
    assert len(err.splitlines()) == 3  # of rank 0: a line for each epoch
    shared = json.loads(out)
    assert shared["ranks"] == 2
    alone = tmp_path / "alone.json"
    command = [part for part in COMMAND if part != "--distributed"]
    subprocess.run(
        [sys.executable, *command, *flags, "--quiet", "--json", alone],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=environment("mpich"),
    )
    wanted = json.loads(alone.read_text())
    for name in ("n_train", "n_test", "config"):
        assert shared[name] == wanted[name]
    for ours, theirs in zip(shared["epochs"], wanted["epochs"], strict=True):
        for name in set(theirs) - {"seconds", "metrics"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-10)
        assert ours["metrics"] == pytest.approx(theirs["metrics"])
    for name in ("test_loss", "test_accuracy"):
        assert shared[name] == pytest.approx(wanted[name], rel=1e-10)


def train_until(tmp_path, launcher, there, act, *flags):
    """Let 2 ranks train without end, until ``there()``; then ``act``. Status, stdout, stderr."""
    arguments = [*COMMAND[2:], "--epochs", "1000000", "--quiet", *flags]
    with Launch(launcher, 2, "-c", RANK, tmp_path, *arguments) as started:
        until = time.monotonic() + SECONDS
        while not there():
            assert started.process.poll() is None, started.end()
            assert time.monotonic() < until
            time.sleep(0.05)
        act(started.process)
        return started.end()


def pid_of(tmp_path, rank):
    return int((tmp_path / f"rank{rank}").read_text())


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_killed_run_goes_on_with_another_number_of_ranks(tmp_path, launcher):
    folder = tmp_path / "run"
    killed = 0 if launcher == "mpich" else 1
    status, _, _ = train_until(
        tmp_path,
        launcher,
        lambda: len(list(folder.glob("epoch-*"))) == 3,
        lambda process: os.kill(pid_of(tmp_path, killed), signal.SIGKILL),
        *("--optimizer", "sgd:momentum=0.9", "--checkpoint", folder),
    )
    assert status != 0
    epochs = fastmlp.load_checkpoint(folder).state.epoch + 2
    flags = ["--resume", folder, "--epochs", epochs, "--quiet", "--json", "-"]
    status, out, err = launch(launcher, 3, *COMMAND[:3], *flags)
    assert status == 0, err
    result = json.loads(out)
    assert result["ranks"] == 3
    assert result["resumed_from_epoch"] == epochs - 2
    shared, state, _ = fastmlp.load_checkpoint(folder)
    data = fastmlp.load_dataset("digits")
    alone = fastmlp.MLP([64, 16, 10], dtype="float64", seed=0)
    history = fastmlp.fit(
        alone,
        data.x_train,
        data.y_train,
        epochs=epochs,
        batch_size=64,
        optimizer=fastmlp.SGD(lr=0.05, momentum=0.9),
    )
    assert np.allclose(shared.parameters, alone.parameters, rtol=1e-6, atol=1e-8)
    assert state.run["y or the weights"] == history.state.run["y or the weights"]


@pytest.mark.parametrize("to", ["all", "one"])
def test_ctrl_c_ends_all_after_the_step_and_keeps_the_model(tmp_path, to):
    def interrupt(process):
        if to == "all":
            process.send_signal(signal.SIGINT)  # which hands it on
        else:
            os.kill(pid_of(tmp_path, 1), signal.SIGINT)

    log, saved = tmp_path / "log", tmp_path / "model.safetensors"

    def trained():
        return log.exists() and log.stat().st_size > 0

    status, _, err = train_until(
        tmp_path, "mpich", trained, interrupt, "--log", log, "--save", saved
    )
    assert status == 130
    assert lines_of_ours(err) == [
        f"fastmlp.train: error: interrupted; the model so far is in {saved}"
    ]
    assert np.isfinite(fastmlp.load(saved).parameters).all()


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--epochs", "x"], 2, "argument --epochs: the value must be an integer, 0 or more"),
        (["--batch-size", "1"], 2, "--batch-size must be 2 or more, a sample for each rank"),
        (["--engine", "reference"], 2, "--distributed needs --engine fast, not reference"),
        (["--profile"], 2, "--profile times one process: leave --distributed out"),
        (["--lr", "1e200"], 1, "the loss became NaN or infinite in epoch 1"),
        (["--data", "few.npz"], 2, "--distributed: {data} has 1 training samples for 2 ranks"),
    ],
)
def test_the_command_says_what_is_wrong_once(tmp_path, flags, status, message):
    if "few.npz" in flags:
        flags = ["--data", tmp_path / "few.npz"]
        x, y = np.ones((1, 4)), np.zeros(1, dtype=int)
        np.savez(flags[1], x_train=x, y_train=y, x_test=x, y_test=y)
        message = message.format(data=flags[1])
    ended, out, err = launch("mpich", 2, *COMMAND, "--quiet", *flags)
    assert ended == status
    assert out == ""
    (line,) = lines_of_ours(err)
    assert line.startswith(f"fastmlp.train: error: {message}")


@pytest.mark.parametrize(
    ("variables", "code", "message"),
    [
        ({}, "", "--distributed needs mpiexec or srun, as in mpiexec -n 4"),
        (
            {"PMI_SIZE": "1"},
            "sys.modules['mpi4py'] = None",
            "--distributed needs mpi4py and an MPI library, pip install 'fastmlp[mpi]'",
        ),
        ({"SLURM_STEP_NUM_TASKS": "4"}, "", "--distributed: 4 processes were started"),
    ],
)
def test_without_mpiexec_or_mpi4py_the_command_says_so(variables, code, message):
    script = f"import sys\n{code}\nfrom fastmlp.train import main\nsys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", script, *COMMAND[2:]],
        cwd=ROOT,
        env=environment("mpich") | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"fastmlp.train: error: {message}")


def test_more_threads_than_a_host_has_cores_are_warned_of_once():
    threads = os.cpu_count()
    flags = ["--threads", threads, "--epochs", "0"]
    status, _, err = launch("mpich", 2, *COMMAND, *flags)
    assert status == 0
    (line,) = lines_of_ours(err)
    assert "2 ranks on" in line
    assert f"have {2 * threads} threads on" in line


def test_importing_fastmlp_does_not_start_mpi():
    code = "import sys, fastmlp, fastmlp.train; assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=SECONDS)
