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
    from fastmlp.kernels.compilation import inner
    from fastmlp.kernels.sync import barrier

    @inner
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


def test_two_trainings_at_once_do_not_disturb_each_other():
    x, y = problem([30, 17, 5], 300, "float32")

    def train(results, key):
        model = fastmlp.MLP([30, 17, 5], seed=key)
        fastmlp.fit(model, x, y, epochs=20, batch_size=16, threads=2)
        results[key] = model.parameters

    alone, together = {}, {}
    for key in (0, 1):
        train(alone, key)
    members = [threading.Thread(target=train, args=(together, key)) for key in (0, 1)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    for key in (0, 1):
        np.testing.assert_array_equal(together[key], alone[key])


def test_as_many_threads_take_the_step_as_were_asked_for(monkeypatch):
    from fastmlp.engine import step

    seen = set()
    run = step.run

    def spy(jobs, layers, hyper, thread):
        if jobs[0].rows:
            seen.add((int(jobs[0].threads), thread, threading.get_ident()))
        return run(jobs, layers, hyper, thread)

    monkeypatch.setattr(step, "run", spy)
    x, y = problem([30, 5], 100, "float32")
    model = fastmlp.MLP([30, 17, 5])
    fastmlp.fit(model, x, y, epochs=3, batch_size=32, threads=3)
    assert {(threads, thread) for threads, thread, _ in seen} == {(3, 0), (3, 1), (3, 2)}
    assert len({ident for *_, ident in seen}) == 3


def test_seconds_are_those_of_the_training_pass_alone(monkeypatch):
    """A clock that only training, validation and compiling move, each by its own amount."""
    from types import SimpleNamespace

    from fastmlp.engine.engine import Engine

    now = [0.0]

    def moving(method, seconds):
        def call(*arguments):
            now[0] += seconds
            return method(*arguments)

        return call

    for name, seconds in {"train": 1, "score": 10, "compile": 100}.items():
        monkeypatch.setattr(Engine, name, moving(getattr(Engine, name), seconds))
    monkeypatch.setattr("fastmlp.training.time", SimpleNamespace(perf_counter=lambda: now[0]))
    x, y = problem([30, 5], 100, "float32")
    history = fastmlp.fit(fastmlp.MLP([30, 5]), x, y, epochs=2, validation_data=(x, y))
    assert [epoch.seconds for epoch in history.epochs] == [1, 1]
    assert history.compile_seconds == 100


def test_ctrl_c_while_another_thread_compiles_ends_the_wait(monkeypatch):
    from fastmlp.engine.engine import Engine

    release = threading.Event()

    def compile_for_ever(self, samples):
        signal.raise_signal(signal.SIGINT)
        release.wait()

    monkeypatch.setattr(Engine, "compile", compile_for_ever)
    x, y = problem([30, 5], 100, "float32")
    try:
        with pytest.raises(KeyboardInterrupt):
            fastmlp.fit(fastmlp.MLP([30, 5]), x, y)
    finally:
        release.set()
