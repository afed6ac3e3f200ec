"""The asv suite: what it measures is kept from commit to commit, and its pages are drawn."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastmlp.paths import cache_directory
from tests.browser import opened_page, served

ROOT = Path(__file__).resolve().parents[1]
EPOCH, MACHINE = "training.BatchSize.time_epoch", "machine.Machine.track_other_threads"
HAVE_RESULTS = (EPOCH, MACHINE)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Two commits, each with a result of two benchmarks, as asv writes it; published."""
    folder = tmp_path_factory.mktemp("asv")
    shutil.copy(ROOT / "asv.conf.json", folder)
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks")
    env = os.environ | {
        "HOME": str(folder),  # where asv keeps the description of the machine
        "PYTHONPATH": str(ROOT),
        "ASV_PYTHONPATH": str(ROOT),  # asv takes the other away from benchmarks
        "FASTMLP_CACHE_DIR": str(cache_directory().absolute()),
        "OPENBLAS_NUM_THREADS": "2",  # asv.conf.json has the last word
        "OMP_NUM_THREADS": "2",
    }
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]

    def run(*command):
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def asv(*arguments):
        return run(sys.executable, "-m", "asv", *arguments)

    run(*git, "init", "-q", "-b", "main")
    asv("machine", "--yes")
    for number in range(2):
        run(*git, "commit", "-q", "--allow-empty", "-m", str(number))
        commit = run(*git, "rev-parse", "HEAD")
        chosen = rf"{MACHINE}|{EPOCH}\('digits', 128\)"
        asv("run", "-E", "existing", "--set-commit-hash", commit, "--quick", "-b", chosen)
    asv("publish")
    return folder


def test_an_edit_of_a_benchmark_does_not_wipe_its_history(repository):
    """asv compares `version`; where there is none it is the digest of the benchmark's source."""
    benchmarks = json.loads((repository / ".asv/results/benchmarks.json").read_text())
    del benchmarks["version"]  # of the file
    assert {MACHINE, EPOCH} <= set(benchmarks)
    for name, benchmark in benchmarks.items():
        assert benchmark["version"].isdigit(), name


def test_blas_and_openmp_have_one_thread_beside_the_engines(repository):
    files = [*(repository / ".asv/results").glob("*/*existing*.json")]
    assert len(files) == 2
    for file in files:
        results = json.loads(file.read_text())["results"]
        assert results[MACHINE][0] == [1]


@pytest.fixture(scope="module")
def browser(repository):
    with served(repository / ".asv/html") as address, opened_page() as (page, problems):
        yield address, page, problems


def assert_no_other_problem(problems, repository):
    """Than that asv's grid asks for a graph of each benchmark, those without a result too."""
    benchmarks = json.loads((repository / ".asv/results/benchmarks.json").read_text())
    missing = [f"graphs/summary/{name}.json?" for name in benchmarks if name not in HAVE_RESULTS]
    assert [p for p in problems if not any(name in p for name in missing)] == []


SERIES = """
holder => $(holder).data("plot").getData().map(series => {
    const canvas = $(holder).data("plot").getCanvas();
    const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const {r, g, b} = $.color.parse(series.color);
    const near = (i, value) => Math.abs(image[i] - value) < 16;
    let pixels = 0;
    for (let i = 0; i < image.length; i += 4)
        pixels += image[i + 3] > 128 && near(i, r) && near(i + 1, g) && near(i + 2, b);
    const points = series.data.filter(point => point[1] !== null).length;
    return {label: series.label, points, pixels};
})
"""
"""Of each series of a flot graph: its points, and the pixels of its own colour on the canvas."""


def assert_drawn(series, width):
    assert series["points"] == 2
    assert series["pixels"] > width / 2  # a line across the graph, one pixel high or more


@pytest.mark.parametrize("name", HAVE_RESULTS)
def test_the_grid_draws_the_graph_of_a_benchmark(repository, browser, name):
    address, page, problems = browser
    page.goto(address)
    graph = page.locator(f'[id="summarygrid-{name}"]')
    graph.scroll_into_view_if_needed()  # asv draws what is in view
    graph.locator("canvas.flot-base").wait_for()
    (series,) = graph.evaluate(SERIES)
    assert_drawn(series, graph.bounding_box()["width"])
    assert_no_other_problem(problems, repository)


def test_the_page_of_a_benchmark_draws_its_history(repository, browser):
    address, page, problems = browser
    page.goto(f"{address}/#{EPOCH}")
    page.wait_for_function("$('#main-graph').data('plot') && $('#overview').data('plot')")
    for name in ("#main-graph", "#overview"):
        graph = page.locator(name)
        (series,) = [series for series in graph.evaluate(SERIES) if series["points"]]
        assert series["label"] == "batch_size-128; data-digits"
        assert_drawn(series, graph.bounding_box()["width"])
    assert_no_other_problem(problems, repository)


def test_the_page_loads_nothing_from_elsewhere(repository):
    page = (repository / ".asv/html/index.html").read_text()
    assert 'src="libraries/jquery.flot.js"' in page
    assert not re.search(r"<(script|link)[^>]*https?://", page)
