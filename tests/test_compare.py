"""compare.py: the page, the pictures and the figures of a stored run; what it says of noise and of
peers that are missing; what it refuses. Nothing here depends on how long anything takes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compare, compare_arguments, figures, noise, page, report, roofline
from benchmarks.counts import counts
from benchmarks.duel import Duel
from benchmarks.options import Options
from benchmarks.peers import INSTALL, PEERS
from benchmarks.result import Line, Result, spread
from benchmarks.run import Run
from benchmarks.task import Task

STORED = Path(__file__).with_name("compare.json")
"""Six works of a busy machine, JAX taken out of the first; a seventh has failed."""

QUIET = {"gflops": 500.0, "cores": 0.99}
README = f"# fastmlp\n\nbefore\n{figures.BEGIN}\nold\n{figures.END}\nafter\n"


@pytest.fixture
def run():
    return Run.from_json(STORED.read_text())


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def test_the_page_has_a_row_for_every_side_of_every_work(run):
    text = page.text(run, {})
    for name, result in run.results.items():
        section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert f"`python benchmarks/compare.py {name} --quick --rounds 2`" in section
        assert f"{run.machine['date'][:10]} · `78d4084` · {run.machine['cpu']}" in section
        rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
        assert len(rows) == len(result.lines) + 1 * bool(result.lines)
        for line, row in zip(result.lines, rows[1:], strict=True):
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert cells[0] == line.side
            assert cells[1] == report.amount(line.median, line.unit)
            assert cells[3] == f"{line.spread:.0%}"
            assert cells[4] == ("" if line.ratio is None else f"{line.ratio:.2f}")
            assert cells[5:7] == [line.target, {True: "met", False: "NOT MET", None: ""}[line.met]]


def test_the_page_tells_of_the_machine(run):
    text = page.text(run, {})
    for value in ("cpu", "system", "python", "date", "commit"):
        assert run.machine[value] in text
    for package, number in run.machine["versions"].items():
        assert f"{package} {number}" in text


def test_pictures_are_drawn_and_not_blank(run, checkout):
    from matplotlib import image

    page.write(run, checkout)
    written = (checkout / "docs" / "benchmarks.md").read_text()
    folder = checkout / "docs" / "pictures"
    assert {path.name for path in folder.iterdir()} == {
        "heatmap.png",
        "scaling.png",
        "roofline.png",
    }
    for path in folder.iterdir():
        assert f"](pictures/{path.name})" in written
        pixels = image.imread(path)[..., :3].reshape(-1, 3)
        assert 0.01 < np.any(pixels < 0.9, axis=1).mean() < 0.9  # ink, and not everywhere
    for name in ("scaling.png", "roofline.png"):  # ours and a peer's colour
        pixels = image.imread(folder / name)[..., :3].reshape(-1, 3)
        for rgb in ((0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)):
            assert (np.abs(pixels - np.array(rgb) / 255).max(axis=1) < 0.01).sum() > 50


def test_the_readme_changes_between_the_marks_only(run):
    text = figures.rewrite(README, figures.block(run))
    before, _, rest = text.partition(figures.BEGIN)
    block, _, after = rest.partition(figures.END)
    assert (before, after) == ("# fastmlp\n\nbefore\n", "\nafter\n")
    assert "old" not in block.split()
    ours, *others = run.results["mnist"].lines
    row = next(line for line in block.splitlines() if line.startswith("| [mnist]"))
    assert report.amount(ours.median, "s", digits=3) in row
    for line in others:
        assert f"{line.ratio:.1f}" in row
    assert figures.rewrite(text, figures.block(run)) == text


def test_the_readme_of_this_checkout_has_the_marks():
    figures.rewrite((compare.ROOT / "README.md").read_text(encoding="utf-8"), "")
    with pytest.raises(ValueError, match=r"README\.md has no lines"):
        figures.rewrite("no marks", "")


def test_noise_is_said_everywhere(run):
    assert run.results["sklearn-iris"].noise
    said = run.results["sklearn-iris"].noise[0]
    assert f"NOISY: {said}" in report.table(run.results["sklearn-iris"])
    assert "sklearn-iris" in report.footer(run)
    document = json.loads(run.to_json())
    assert "sklearn-iris" in document["noisy"]
    assert document["works"]["sklearn-iris"]["noise"][0] == said
    assert document["noise_bounds"]["spread"] == noise.SPREAD_MOST
    text = page.text(run, {})
    assert f"**noisy**: {said}" in text
    assert "**The machine was noisy** in" in text
    assert "the machine was noisy in" in figures.block(run)


def test_noise_is_what_exceeds_a_bound():
    steady, loose = [1.0, 1.01, 1.02], [1.0, 1.05, 1.5]
    assert spread(steady) < noise.SPREAD_MOST < spread(loose)

    def found(samples, before=QUIET, after=QUIET, cells=()):
        result = Result("", [Line("side", samples)], calibration=[before, after], cells=list(cells))
        return noise.find(result, 500.0)

    assert found(steady) == []
    assert found(loose) == [f"samples spread: side {spread(loose):.0%}"]
    assert found(steady, after={**QUIET, "gflops": 300.0}) == [
        "FMAs ran 40% below the run's highest rate (300 of 500 GFLOP/s)"
    ]
    # A neighbour that never leaves: nothing spreads, nothing drifts.
    assert found(steady, before={**QUIET, "cores": 0.5}) == [
        "other programs took 50% of the cores' time"
    ]
    cells = [{"seconds": {"fast": steady, "jax_scan": loose}}, {"seconds": {"fast": steady}}]
    assert found(steady, cells=cells) == ["samples spread by more than 10% in 1 of 2 cells"]


def test_a_quiet_run_is_not_called_noisy(run):
    run.results = {"mnist": run.results["mnist"]}
    for line in run.results["mnist"].lines:
        line.samples = [1.0, 1.01, 1.02]
    run.results["mnist"].calibration = [QUIET, QUIET]
    run.judge_noise()
    assert run.noisy == []
    assert "The machine was noisy" not in page.text(run, {})
    assert "noisy in" not in figures.block(run)


def test_a_skipped_peer_is_named_with_the_line_that_installs_it(run):
    assert f"skipped: JAX: jax not installed: {INSTALL}" in report.table(run.results["mnist"])
    assert f"skipped: JAX: jax not installed: {INSTALL}" in report.footer(run)
    assert json.loads(run.to_json())["skipped"] == {"JAX": f"jax not installed: {INSTALL}"}
    assert f"**JAX was skipped**: jax not installed: `{INSTALL}`" in page.text(run, {})
    assert f"JAX was skipped: jax not installed: `{INSTALL}`" in figures.block(run)


def test_a_work_that_failed_is_named(run):
    for text in (report.footer(run), page.text(run, {}), figures.block(run)):
        assert "benchmarks.worker: out of memory" in text


def test_a_missing_peer_is_skipped_and_the_others_measured(monkeypatch):
    peer = dataclasses.replace(PEERS["jax_scan"], needs=("no_such_module",))
    monkeypatch.setitem(PEERS, "jax_scan", peer)
    task = Task((784, 16, 10), data="gaussian", samples=256, learning_rate=0.01)
    options = Options(1, 1, True, lambda text: None, lambda: None)
    result = Duel("small", task, {"jax_scan": 4}).measure(options)
    assert result.skipped == {"JAX": f"no_such_module not installed: {INSTALL}"}
    assert [line.side for line in result.lines] == ["fastmlp"]
    assert result.counts == counts(dataclasses.replace(task, threads=1))


def test_a_stored_run_reads_back_as_it_was(run):
    text = run.to_json()
    again = Run.from_json(text)
    assert again == run
    assert again.to_json() == text


def test_operations_and_bytes_are_those_of_the_definition():
    batch, steps, parameters = 128, 2, 4 * (784 * 16 + 16 + 16 * 10 + 10)
    task = Task((784, 16, 10), batch_size=batch, data="gaussian", samples=steps * batch)
    counted = counts(task)
    assert counted["flop"] == 2 * steps * batch * (2 * 784 * 16 + 3 * 160)
    assert counted["flop_nonzero"] == counted["flop"]  # Gaussians are never zero
    rows = 4 * 784 * steps * batch
    assert counted["bytes"] == rows + 2 * steps * parameters
    adam = counts(dataclasses.replace(task, optimizer="adam"))
    assert adam["bytes"] == rows + 3 * 2 * steps * parameters
    predicted = counts(dataclasses.replace(task, samples=1, calls=5))
    assert predicted["flop"] == 2 * (784 * 16 + 160)
    assert predicted["bytes"] == 4 * 784 + parameters + 4 * 10


def test_the_roofline_has_a_point_for_each_side_at_its_rate(run):
    dots = {(dot.work, dot.side): dot for dot in roofline.points(run.results)}
    counted = run.results["mnist"].counts
    for line in run.results["mnist"].lines:
        dot = dots["mnist", line.side]
        assert dot.rate == pytest.approx(counted["flop"] / line.median / 1e9)
        assert dot.intensity == pytest.approx(counted["flop"] / counted["bytes"])
    # Four fifths of MNIST's pixels are zero, in the two products of the first of two layers.
    assert 0.15 < dots["mnist", "fastmlp"].nonzero < 0.25


def _told(monkeypatch, *said):
    monkeypatch.setattr("sys.argv", ["compare.py", *map(str, said)])
    return compare_arguments.parse("")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (("--docs", "mnist"), "--docs is of all works: leave 'mnist' out"),
        (("--from", "{tmp}/none"), "--from: {tmp}/none: No such file or directory"),
        (("--from", "{tmp}"), "--from: {tmp}: Is a directory"),
        (("--from", "{tmp}/text"), "--from: {tmp}/text: no JSON: "),
        (("--from", "{tmp}/list"), "--from: {tmp}/list: not a result of compare.py"),
        (("--from", "{tmp}/other"), "--from: {tmp}/other: its schema is 'x', not 'fastmlp.compare"),
        (("--from", STORED, "--quick"), "--from measures nothing: leave '--quick' out"),
        (("--from", STORED, "--rounds", 3), "--from measures nothing: leave '--rounds' out"),
        (("--from", STORED, "mnist"), "--from measures nothing: leave 'mnist' out"),
        (("--from", STORED, "--docs"), f"--docs is of all works: {STORED} has no 'batch-32'"),
        (("--pictures", "{tmp}/text"), "--pictures: {tmp}/text is no folder"),
        (("--json", "{tmp}/none/x"), "--json: {tmp}/none is no folder"),
        (("--rounds", 0), "argument --rounds: the value must be an integer from 1 to 1000, not 0"),
        (("nonsense",), "no work is called 'nonsense'; --list names them"),
    ],
)
def test_bad_input_is_refused_with_one_line(monkeypatch, capsys, tmp_path, said, complaint):
    (tmp_path / "text").write_text("no json")
    (tmp_path / "list").write_text("[1, 2]")
    (tmp_path / "other").write_text('{"schema": "x"}')
    said = [str(word).replace("{tmp}", str(tmp_path)) for word in said]
    with pytest.raises(SystemExit) as ended:
        _told(monkeypatch, *said)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"compare.py: error: {complaint.replace('{tmp}', str(tmp_path))}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("works"),
        lambda d: d["machine"].pop("cpu"),
        lambda d: d["works"]["mnist"].update(unknown=1),
        lambda d: d["works"]["mnist"]["lines"][0].update(samples=[]),
        lambda d: d["works"]["mnist"]["lines"][0].update(samples=["fast"]),
        lambda d: d["works"]["mnist"]["lines"][0].pop("ratio"),
        lambda d: d["works"]["mnist"].update(calibration=[1.0]),
        lambda d: d["works"]["grid"]["cells"][0].pop("seconds"),
        lambda d: d.update(machine=3),
        lambda d: d.update(flags=3),
        lambda d: d["machine"].update(threads=7),
        lambda d: d["machine"].update(fma_peak_gflops=[1]),
        lambda d: d["machine"].update(fma_peak_gflops={"1": 1.0, "2": None}),
        lambda d: d["machine"].update(stream_gbytes={}),
        lambda d: d["works"]["mnist"]["lines"][0].update(samples=[0.0]),
        lambda d: d["works"]["mnist"]["lines"][0].update(ratio="x"),
        lambda d: d["works"]["mnist"].update(took="x"),
        lambda d: d["works"]["mnist"].update(counts={"flop": 1}),
        lambda d: d["works"]["mnist"].update(checks=3),
        lambda d: d.update(works=[]),
    ],
)
def test_a_damaged_file_is_refused_with_one_line(monkeypatch, capsys, tmp_path, change):
    document = json.loads(STORED.read_text())
    change(document)
    (tmp_path / "damaged.json").write_text(json.dumps(document))
    with pytest.raises(SystemExit) as ended:
        _told(monkeypatch, "--from", tmp_path / "damaged.json")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"compare.py: error: --from: {tmp_path}/damaged.json: ")
    assert error.count("\n") == 1


def test_docs_without_marks_in_the_readme_are_refused_before_measuring(
    monkeypatch, capsys, tmp_path
):
    (tmp_path / "README.md").write_text("no marks")
    monkeypatch.setattr(compare_arguments, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as ended:
        _told(monkeypatch, "--quick", "--docs")
    assert ended.value.code == 2
    assert "README.md has no lines" in capsys.readouterr().err


def test_a_stored_run_is_drawn_again_by_the_command(monkeypatch, capsys, run, checkout):
    names = {*run.results, *run.failed}
    works = {name: work for name, work in compare_arguments.WORKS.items() if name in names}
    monkeypatch.setattr(compare_arguments, "WORKS", works)
    for module in (compare_arguments, compare):
        monkeypatch.setattr(module, "ROOT", checkout)
    copy = checkout / "copy.json"
    monkeypatch.setattr(
        "sys.argv", ["compare.py", "--from", str(STORED), "--docs", "--json", str(copy)]
    )
    assert compare.main() == 0
    assert report.table(run.results["mnist"]) in capsys.readouterr().out
    assert (checkout / "docs" / "benchmarks.md").read_text().startswith("# Benchmarks\n")
    assert "old" not in (checkout / "README.md").read_text().split()
    assert Run.from_json(copy.read_text()) == run


def test_quick_leaves_out_what_it_says_and_a_name_brings_it_back(monkeypatch):
    works = _told(monkeypatch, "--quick").works
    assert set(works) == set(compare_arguments.WORKS) - set(compare_arguments.SLOW)
    assert _told(monkeypatch, "--quick", "batch-64").works == ["batch-64"]
    assert _told(monkeypatch, "--quick", "--rounds", "5").flags == ["--quick", "--rounds", "5"]
    assert set(figures.WORKS) | set(figures.ALONE) <= set(works)
