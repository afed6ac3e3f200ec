"""A team of threads ends cleanly, whatever happens while it runs."""

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
