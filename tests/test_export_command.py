"""``python -m fastmlp.export`` writes each form, and refuses in one line before any work."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import fastmlp
from fastmlp.export import from_torch
from fastmlp.export.__main__ import main
from tests.export_helpers import assert_same_bits, network, samples

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    network("gelu").save(tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_suffix_says_the_form(folder, capsys):
    model = network("gelu")
    for output in ("model.onnx", "digits.py", "state.safetensors"):
        assert main(["model.safetensors", output]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"{output}: 7-9-8-4, float32, as ")
        assert (out.count("\n"), err) == (1, "")
    onnx.checker.check_model(onnx.load("model.onnx"), full_check=True)
    assert_same_bits(from_torch("state.safetensors", activation="gelu"), model)
    np.save("x.npy", samples(model))
    command = [sys.executable, "-I", "digits.py", "x.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert [int(line) for line in done.stdout.split()] == model.predict(samples(model)).tolist()


def test_the_commands_of_the_documentation_do_what_they_say(folder, capsys):
    page = (ROOT / "docs" / "export.md").read_text()
    commands = re.findall(r"^    python -m fastmlp\.export (.*)$", page, re.MULTILINE)
    assert len(commands) == 4
    network().save("digits.safetensors")
    for command in commands:
        arguments = command.split()
        assert main(arguments) == 0
        assert (folder / arguments[1]).exists()
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_input_of_onnx_may_be_uint8(folder):
    assert main(["model.safetensors", "model.onnx", "--dtype", "uint8"]) == 0
    made = onnx.load("model.onnx")
    assert made.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


WRONG = {
    "no output": (["model.safetensors"], 2, "OUTPUT"),
    "no model": ([], 2, "MODEL, OUTPUT"),
    "a suffix": (["model.safetensors", "model.pt"], 2, "OUTPUT must end in .onnx, .py"),
    "no suffix": (["model.safetensors", "model"], 2, "OUTPUT must end in .onnx, .py"),
    "the same": (["model.safetensors", "./model.safetensors"], 2, "must be different"),
    "a folder": (["model.safetensors", "absent/model.onnx"], 2, "absent is no folder"),
    "a type": (["model.safetensors", "a.onnx", "--dtype", "int8"], 2, "dtype must be one of"),
    "a type of a script": (["model.safetensors", "a.py", "--dtype", "uint8"], 2, "--dtype is for"),
    "an absent model": (["absent.safetensors", "a.onnx"], 2, "absent.safetensors: No such file"),
    "a damaged model": (["damaged.safetensors", "a.onnx"], 2, "damaged.safetensors is damaged"),
    "a flag": (["model.safetensors", "a.onnx", "--opset", "9"], 2, "unrecognized arguments"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_and_writes_nothing(folder, capsys, case):
    arguments, status, words = WRONG[case]
    (folder / "damaged.safetensors").write_bytes(b"damaged")
    before = sorted(folder.iterdir())
    try:
        actual = main(arguments)
    except SystemExit as exit:  # argparse's
        actual = exit.code
    out, err = capsys.readouterr()
    assert (actual, out) == (status, "")
    assert err.startswith("fastmlp.export: error: ")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_it_runs_as_a_module_and_ctrl_c_is_130(folder, capsys, monkeypatch):
    command = [sys.executable, "-m", "fastmlp.export", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert (done.returncode, done.stdout) == (0, f"fastmlp {fastmlp.__version__}\n")

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.export.__main__.model_of_argument", interrupt)
    assert main(["model.safetensors", "a.onnx"]) == 130
    assert capsys.readouterr().err == "fastmlp.export: error: interrupted\n"


def test_neither_fastmlp_nor_its_export_imports_what_is_exported_to():
    code = (
        "import sys, fastmlp, fastmlp.export\n"
        "print([n for n in ('onnx', 'torch', 'sklearn', 'numba') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.stdout == "[]\n", done.stderr
