"""Instructions per sample: who counts, what is read from it, what is refused."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import counters, instructions
from benchmarks.counters import PERF, Counter, CountError, Run
from benchmarks.task import Task

# What stands in for a counter: runs the command, and counts 1000 and 100 for each line of stdin.
COUNTING = """\
#!{python}
import subprocess, sys
text = sys.stdin.read()
at = {skip}
status = subprocess.run(sys.argv[at:], input=text, text=True).returncode
name = [a for a in sys.argv if a.startswith("--log-file=")] or sys.argv
path = name[0].split("=")[1] if len(name) == 1 else sys.argv[sys.argv.index("-o") + 1]
open(path, "w").write({report}.replace("COUNT", str(1000 + 256_00 * text.count("\\n"))))
sys.exit(status)
"""
PERF_REPORT = "# started on\n\nCOUNT,,instructions:u,5,100.00,,\n"
PERF_CANNOT = "<not supported>,,instructions:u,0,100.00,,\n"
CALLGRIND_REPORT = "==1== Events    : Ir\n==1== Collected : COUNT\n==1==\n"


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put programs on a path on which there is nothing else."""

    def put(**reports):
        for name, report in reports.items():
            skip = 7 if name == "perf" else 4
            path = tmp_path / name
            path.write_text(COUNTING.format(python=sys.executable, skip=skip, report=repr(report)))
            path.chmod(0o755)
        (tmp_path / "true").symlink_to("/bin/true")
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def test_the_processors_own_counter_is_taken_where_it_counts(tools):
    tools(perf=PERF_REPORT, valgrind=CALLGRIND_REPORT)
    assert counters.find() is PERF


def test_valgrind_is_taken_where_perf_cannot_count(tools):
    tools(perf=PERF_CANNOT, valgrind=CALLGRIND_REPORT)
    found = counters.find()
    assert found.command[0] == "valgrind"
    assert "perf cannot count instructions on this machine" in found.title


@pytest.mark.parametrize("wide", [True, False])
def test_valgrind_gets_kernels_without_avx512(tools, monkeypatch, wide):
    tools(valgrind=CALLGRIND_REPORT)
    monkeypatch.setattr(
        counters.llvmlite.binding, "get_host_cpu_features", lambda: {"avx512f": wide}
    )
    found = counters.find()
    assert "perf is not installed" in found.title
    assert ("AVX-512" in found.title) == wide
    assert found.environment.get("NUMBA_CPU_NAME") == ("haswell" if wide else None)


def test_without_either_there_is_one_line_and_status_1(tools, capsys):
    tools()
    assert instructions.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "perf is not installed, and valgrind is not installed" in said


def test_what_is_done_once_drops_out_of_the_difference(tools, monkeypatch, capsys):
    # A request, that is an epoch, counts 25,600, and an epoch has 256 samples.
    tools(perf=PERF_CANNOT, valgrind=CALLGRIND_REPORT)
    task = Task((784, 8, 10), data="zeros", samples=256, search=False)
    monkeypatch.setattr(instructions, "TASK", task)
    assert instructions.main(["fast_call", "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["sides"]["fast_call"]["instructions_per_sample"] == 100
    assert said["task"]["threads"] == 1


@pytest.mark.parametrize(
    ("name", "report"), [("perf", PERF_REPORT), ("valgrind", CALLGRIND_REPORT)]
)
def test_counts_are_read_from_what_the_counter_writes(tools, tmp_path, name, report):
    tools(**{name: report})
    run = Run(counters.find(), ["true"], os.environ, "one line\n", tmp_path)
    assert run.end() == (26_600, "")


def test_the_table_gives_ratios_to_fastmlp():
    sides = {
        peer: {"title": instructions.PEERS[peer].title, "instructions_per_sample": count}
        for peer, count in (("fast_call", 12_000.0), ("numpy_reference", 30_000.0))
    }
    text = instructions._table(PERF, instructions.TASK, sides)
    assert "NumPy reference                       30,000     2.50" in text
    assert "perf stat" in text


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.exit('it broke')", "a counter ended with status 1: it broke"),
        ("", "a counter counted nothing"),
    ],
)
def test_a_count_that_failed_is_one_line(tmp_path, program, why):
    counter = Counter("a counter", (), r"(\d+)")
    run = Run(counter, [sys.executable, "-c", program], os.environ, "", tmp_path)
    with pytest.raises(CountError, match=why):
        run.end()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["nosuch"], "no peer is called 'nosuch'; there are fast_call, numpy_reference"),
        (["--json", "nosuch/i.json"], "--json: nosuch is no folder"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, what):
    with pytest.raises(SystemExit) as stopped:
        instructions.main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert what in said


def test_ctrl_c_ends_with_status_130(tools, monkeypatch, capsys):
    def stop(*arguments):
        raise KeyboardInterrupt

    tools(perf=PERF_REPORT)
    monkeypatch.setattr(instructions, "_count", stop)
    assert instructions.main([]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_a_peer_that_is_not_installed_is_left_out_by_name(tools, monkeypatch, capsys):
    tools(perf=PERF_REPORT)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, find=None: None if name == "jax" else Path
    )
    assert instructions.main(["jax_scan"]) == 0
    assert "JAX left out: jax not installed: pip install -e" in capsys.readouterr().err
