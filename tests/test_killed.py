"""A run killed by SIGKILL at any moment, and resumed, ends with the bits of one never killed.

One process compiles, and forks a child for each life of a run: that costs milliseconds, not the
second in which a process starts. A child kills itself between two steps of a write, or with half
of a file written; or its parent kills it after some time, wherever it is then.
"""

import pytest

from tests.test_processes import needs_fork, printed

LIVES = """
import os, pathlib, signal, sys, tempfile, time, zlib
import numpy as np
import fastmlp
from fastmlp import atomic
from tests.features import build

EPOCHS = 5
rng = np.random.default_rng(0)
left = None  # moments until this process kills itself


def moment():
    global left
    if left is not None:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def with_moments(call):
    def called(*arguments, **options):
        moment()
        result = call(*arguments, **options)
        moment()
        return result
    return called


class Halves:
    # A file of which half is on the disk for a moment.
    def __init__(self, *arguments):
        self.file = open(*arguments)

    def __enter__(self):
        moment()
        return self

    def __exit__(self, *exception):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        half = len(content) // 2
        self.file.write(content[:half])
        self.file.flush()
        moment()
        self.file.write(content[half:])


atomic.open = Halves
for name in ("fsync", "replace", "unlink"):
    setattr(os, name, with_moments(getattr(os, name)))
for name in ("unlink", "rename", "touch"):
    setattr(pathlib.Path, name, with_moments(getattr(pathlib.Path, name)))


def life(folder):
    # What a user's program does: go on from what is there, to the end.
    model, x, y, options = build(fastmlp, FEATURE, "float32", EPOCHS)
    stopping = fastmlp.EarlyStopping(patience=3)
    callbacks = [stopping, *([fastmlp.Checkpoint(folder, keep=2)] if folder else [])]
    state = None
    if folder:
        try:
            model, state, _ = fastmlp.load_checkpoint(folder)
        except FileNotFoundError:
            pass
    options |= {"validation_fraction": 0.3, "threads": 2}
    fastmlp.fit(model, x, y, **options, callbacks=callbacks, resume=state)
    return b"".join(array.tobytes() for array in model.state_dict().values())


def lived(folder, moments=None, seconds=None):
    # Whether a child came to the end, with the right bits.
    global left
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        status = 1
        try:
            left = moments
            status = 0 if life(folder) == expected else 2
        finally:
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code == 0


expected = life(None)


def deaths(**how):
    # Of a run in a new folder, by kills drawn anew until it comes to its end.
    with tempfile.TemporaryDirectory() as folder:
        for count in range(1000):
            if lived(folder, **{name: draw() for name, draw in how.items()}):
                break
        else:
            raise AssertionError("no end")
        assert lived(folder), "once more"
        assert not [n for n in os.listdir(folder) if not n.startswith("epoch-")], "remains"
        return count
"""

FEATURES = ["both norms, decay", "EMA, batch norm"]


@needs_fork
@pytest.mark.parametrize("feature", FEATURES)
def test_killed_at_each_moment_of_every_write(feature):
    script = """
count = 0
while True:
    with tempfile.TemporaryDirectory() as folder:
        if lived(folder, moments=count + 1):
            break
        assert lived(folder)
    count += 1
print(count)
"""
    (count,) = printed(f"FEATURE = {feature!r}\n{LIVES}{script}")
    assert int(count) >= 5 * 8  # epochs, and steps of a write


@needs_fork
def test_killed_again_and_again_in_the_midst_of_writes():
    script = "print(sum(deaths(moments=lambda: int(rng.integers(1, 30))) for _ in range(10)))"
    (count,) = printed(f"FEATURE = {FEATURES[0]!r}\n{LIVES}{script}")
    assert int(count) >= 20


@needs_fork
def test_killed_again_and_again_after_some_time():
    script = """
with tempfile.TemporaryDirectory() as folder:
    begin = time.perf_counter()
    assert lived(folder)
    whole = time.perf_counter() - begin
count = 0
for _ in range(100):
    count += deaths(seconds=lambda: rng.uniform(0, 1.2 * whole))
    if count >= 60:
        break
print(count)
"""
    (count,) = printed(f"FEATURE = {FEATURES[1]!r}\n{LIVES}{script}")
    assert int(count) >= 60
