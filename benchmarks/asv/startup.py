"""What does one wait for before the first step, and for a whole short run?"""

import json
import subprocess
import sys

from .data import dataset

EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["FASTMLP_CACHE_DIR"] = folder.name
"""

FIT = """
{before}
import numpy as np
import fastmlp
model = fastmlp.MLP([784, 128, 10], seed=0)
x, y = np.zeros((128, 784), np.float32), np.zeros(128, int)
"""
FIRST_FIT = "fastmlp.fit(model, x, y, epochs=1, batch_size=128)"


class Import:
    """In a fresh interpreter, whose own start is not counted."""

    version = "1"

    def timeraw_fastmlp(self):
        return "import fastmlp"

    def timeraw_sklearn(self):
        return "import fastmlp.sklearn"


class Kernels:
    """The first fit of a process, of one step."""

    version = "1"

    def setup(self):
        subprocess.run([sys.executable, "-c", FIT.format(before="") + FIRST_FIT], check=True)

    def timeraw_load(self):
        """Kernels that an earlier process has compiled."""
        return FIRST_FIT, FIT.format(before="")


class Compilation:
    """The same where nothing is compiled yet."""

    version = "1"
    rounds = 1
    repeat = (1, 3, 60)
    warmup_time = 0

    def timeraw_compile(self):
        return FIRST_FIT, FIT.format(before=EMPTY_CACHE)


class Run:
    """The whole process of ``python -m fastmlp.train``, two epochs of a plain network."""

    params = (["mnist", "digits"],)
    param_names = ("data",)
    version = "1"
    rounds = 1
    repeat = (3, 10, 10)

    def setup(self, data):
        dataset(data)
        self.run(data)  # compiles the kernels, decodes the data

    def run(self, data):
        command = [sys.executable, "-m", "fastmlp.train", "--data", data, "--epochs", "2"]
        command += ["--hidden", "128", "--quiet", "--json", "-"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    def time_process(self, data):
        self.run(data)

    def track_test_error(self, data):
        return 1 - self.run(data)["test_accuracy"]

    track_test_error.unit = "1 - accuracy"

    def track_peak_memory(self, data):
        return self.run(data)["peak_rss_bytes"]

    track_peak_memory.unit = "bytes"
