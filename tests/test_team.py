"""A team of threads ends cleanly, whatever happens while it runs."""

import signal
import threading

import numpy as np
import pytest

import fastmlp
from fastmlp.engine.team import Team
from tests.equality import problem


def nothing():
    """A watcher that does not care."""


def living_threads():
    return [t for t in threading.enumerate() if t.name.startswith("fastmlp-")]


def test_every_thread_runs_the_task_once():
    team = Team(5, 2)
    for _ in range(3):
        seen = []
        team.run(seen.append, nothing)
        assert sorted(seen) == [0, 1, 2, 3, 4]
    team.close()
    assert not living_threads()


def test_a_brief_task_of_one_runs_in_the_calling_thread():
    team = Team(1, 2)
    names = []
    team.run(lambda _: names.append(threading.current_thread().name), nothing, brief=True)
    assert names == [threading.current_thread().name]
    assert not living_threads()


def test_an_exception_in_one_thread_reaches_the_caller_and_ends_the_others():
    from fastmlp.kernels.sync import barrier
    from tests.jitted import jitted

    @jitted
    def wait(cells):
        barrier(cells, 3)

    team = Team(3, 2)
    wait(np.ones(64, dtype=np.int64) * 0 + np.eye(64, dtype=np.int64)[40])  # compiled: ABANDONED

    def task(thread):
        if thread == 1:
            raise RuntimeError("thread 1 failed")
        wait(team.cells)

    with pytest.raises(RuntimeError, match="thread 1 failed"):
        team.run(task, nothing)
    assert not living_threads()


@pytest.mark.parametrize("longest", [-1, 2**62])
def test_after_a_long_yield_the_next_waits_sleep(longest):
    """Every yield counts as long, or none does: thread 0 comes when the other has waited so."""
    from fastmlp.kernels.sync import BACKOFF, DOZES, LONG_YIELD, barrier
    from tests.jitted import jitted

    @jitted
    def pass_barriers(cells, count):
        for _ in range(count):
            barrier(cells, 2)

    team = Team(2, 1)
    pass_barriers(team.cells, 0)  # compiled: the threads shall meet
    team.cells[LONG_YIELD] = longest
    slept = threading.Event()

    def task(thread):
        while thread == 0 and longest < 0 and not team.cells[BACKOFF]:
            slept.wait(0.001)
        pass_barriers(team.cells, 100)

    team.run(task, nothing)
    team.close()
    assert (team.cells[BACKOFF] > 0) == (longest < 0)
    assert longest < 0 or team.cells[DOZES] == 0


def test_an_exception_while_watching_stops_the_job_at_the_next_step():
    model = fastmlp.MLP([30, 40, 5])
    x, y = problem([30, 5], 200_000, "float32")

    class Interrupt(fastmlp.Callback):
        def on_progress(self, samples, loss, accuracy):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastmlp.fit(model, x, y, epochs=10**6, batch_size=1, threads=2, callbacks=[Interrupt()])
    assert not living_threads()
    assert np.isfinite(model.parameters).all()


def test_a_full_batch_is_interrupted_before_its_end():
    """STOP is obeyed after a chunk: the step of a huge batch is given up, not waited for."""
    model = fastmlp.MLP([50, 300, 300, 5])
    before = model.parameters.copy()
    x, y = problem([50, 5], 200_000, "float32")

    class Interrupt(fastmlp.Callback):
        samples = None

        def on_progress(self, samples, loss, accuracy):
            self.samples = samples
            raise KeyboardInterrupt

    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        fastmlp.fit(model, x, y, epochs=10**6, batch_size="full", threads=2, callbacks=[interrupt])
    assert 0 <= interrupt.samples < 200_000
    np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize("networks", [[[30, 17, 5]] * 2, [[30, 17, 5], [30, 40, 8, 5]] * 2])
def test_trainings_at_once_do_not_disturb_each_other(networks):
    x, y = problem([30, 5], 300, "float32")

    def train(results, key):
        model = fastmlp.MLP(networks[key], seed=key)
        fastmlp.fit(model, x, y, epochs=20, batch_size=16, threads=2)
        results[key] = model.parameters

    alone, together = {}, {}
    for key in range(len(networks)):
        train(alone, key)
    members = [threading.Thread(target=train, args=(together, key)) for key in range(len(networks))]
    for member in members:
        member.start()
    for member in members:
        member.join()
    for key in range(len(networks)):
        np.testing.assert_array_equal(together[key], alone[key])


def test_as_many_threads_take_the_step_as_were_asked_for(monkeypatch):
    from fastmlp.engine import step

    seen = set()
    run = step.run

    def spy(jobs, layers, hyper, thread):
        if jobs[0].rows:
            seen.add((int(jobs[0].threads), thread, threading.get_ident()))
        return run(jobs, layers, hyper, thread)

    spy.compile = run.compile
    monkeypatch.setattr(step, "run", spy)
    x, y = problem([30, 5], 100, "float32")
    model = fastmlp.MLP([30, 17, 5])
    fastmlp.fit(model, x, y, epochs=3, batch_size=32, threads=3)
    assert {(threads, thread) for threads, thread, _ in seen} == {(3, 0), (3, 1), (3, 2)}
    assert len({ident for *_, ident in seen}) == 3


@pytest.mark.parametrize("explicit", [None, "argument", "variable"])
def test_small_steps_are_timed_with_fewer_threads_unless_a_number_is_given(monkeypatch, explicit):
    from fastmlp.engine import step

    seen = set()
    run = step.run

    def spy(jobs, layers, hyper, thread):
        if jobs[0].rows:
            seen.add(int(jobs[0].threads))
        return run(jobs, layers, hyper, thread)

    x, y = problem([30, 5], 3000, "float32")
    expected = fastmlp.MLP([30, 17, 5])
    losses = [
        epoch.train_loss
        for epoch in fastmlp.fit(expected, x, y, epochs=3, batch_size=32, threads=1).epochs
    ]
    spy.compile = run.compile
    monkeypatch.setattr(step, "run", spy)
    monkeypatch.setattr("fastmlp.threads.PRODUCTS_PER_THREAD", 1)
    monkeypatch.setattr("fastmlp.threads.available_cores", lambda: 3)
    if explicit == "variable":
        monkeypatch.setenv("FASTMLP_NUM_THREADS", "3")
    else:
        monkeypatch.delenv("FASTMLP_NUM_THREADS", raising=False)
    model = fastmlp.MLP([30, 17, 5])
    threads = 3 if explicit == "argument" else None
    history = fastmlp.fit(model, x, y, epochs=3, batch_size=32, threads=threads)
    assert seen == ({1, 2, 3} if explicit is None else {3})
    # Every sample once, in its place: the same bits, sums of the losses included.
    np.testing.assert_array_equal(model.parameters, expected.parameters)
    assert [epoch.train_loss for epoch in history.epochs] == losses


def test_seconds_are_those_of_the_training_pass_alone(monkeypatch):
    """A clock that only training, validation and compiling move, each by its own amount."""
    from types import SimpleNamespace

    from fastmlp.engine.engine import Engine

    now = [0.0]

    def moving(method, seconds):
        def call(*arguments, **settings):
            now[0] += seconds
            return method(*arguments, **settings)

        return call

    for name, seconds in {"train": 1, "score": 10, "compile": 100}.items():
        monkeypatch.setattr(Engine, name, moving(getattr(Engine, name), seconds))
    for module in ("run", "training"):
        clock = SimpleNamespace(perf_counter=lambda: now[0])
        monkeypatch.setattr(f"fastmlp.{module}.time", clock)
    x, y = problem([30, 5], 100, "float32")
    history = fastmlp.fit(fastmlp.MLP([30, 5]), x, y, epochs=2, validation_data=(x, y))
    assert [epoch.seconds for epoch in history.epochs] == [1, 1]
    assert history.compile_seconds == 100


def test_ctrl_c_while_another_thread_compiles_ends_the_wait(monkeypatch):
    from fastmlp.engine.engine import Engine

    release = threading.Event()

    def compile_for_ever(self, *data):
        signal.raise_signal(signal.SIGINT)
        release.wait()

    monkeypatch.setattr(Engine, "compile", compile_for_ever)
    x, y = problem([30, 5], 100, "float32")
    # A shell that starts the tests in the background has them ignore SIGINT: this would never end.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fastmlp.fit(fastmlp.MLP([30, 5]), x, y)
    finally:
        signal.signal(signal.SIGINT, before)
        release.set()
