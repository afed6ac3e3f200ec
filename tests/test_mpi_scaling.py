"""The cost model of distributed training, fitted to times that are made up."""

import json

import pytest

from benchmarks import mpi_scaling
from benchmarks.mpi_scaling import Compute, Network

COMPUTE = Compute(20e-6, 1 / 90e9, 0.2e-9)
LINK = Network("2 ranks here", 3e-6, 2e9)
CELLS = [([784, width, width, 10], size) for width in (64, 512) for size in (64, 1024)]


@pytest.fixture
def measured():
    one = [
        {
            "layers": layers,
            "batch_size": size,
            "seconds": COMPUTE.seconds(layers, size),
            "alone": 0.9 * COMPUTE.seconds(layers, size),
        }
        for layers, size in CELLS
    ]
    two = [
        {
            "layers": layers,
            "batch_size": size,
            "seconds": COMPUTE.seconds(layers, size // 2)
            + LINK.sum_seconds(4 * mpi_scaling.parameters(layers), 2),
        }
        for layers, size in CELLS
    ]
    sums = [{"bytes": n, "seconds": LINK.sum_seconds(n, 2)} for n in (64, 4096, 4_000_000)]
    overlap = [{"layers": CELLS[0][0], "batch_size": 64, "whole": 1e-4, "split": 2e-4}]
    machine = {"cpu": "a CPU", "cores": 2, "commit": "abc", "date": "2026-01-02T03"}
    return {
        "machine": machine | {"versions": {"fastmlp": "0"}},
        "quick": False,
        "1": {"steps": one, "sums": []},
        "2": {"steps": two, "sums": sums, "overlap": overlap},
    }


def test_a_fit_finds_what_the_times_were_made_of(measured):
    fitted = mpi_scaling.fit_compute(measured["1"]["steps"], "seconds")
    assert fitted.step == pytest.approx(COMPUTE.step)
    assert fitted.flop == pytest.approx(COMPUTE.flop)
    assert fitted.parameter == pytest.approx(COMPUTE.parameter)
    network = mpi_scaling.fit_network(measured["2"]["sums"])
    assert network.latency == pytest.approx(LINK.latency)
    assert network.bandwidth == pytest.approx(LINK.bandwidth)


def test_the_page_has_table_and_picture_between_its_marks(measured, tmp_path, monkeypatch, capsys):
    page = tmp_path / "scaling.md"
    page.write_text(f"before\n{mpi_scaling.BEGIN}\nold\n{mpi_scaling.END}\nafter\n")
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(measured))
    monkeypatch.setattr("sys.argv", ["", "--from", str(kept), "--docs", str(tmp_path)])
    assert mpi_scaling.main() == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "The model is off by 0% in the median" in text
    assert capsys.readouterr().out.strip() in text
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
