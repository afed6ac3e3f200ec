"""The import direction: which room of the package may know which."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*ROOT.glob("fastmlp/**/*.py"), *ROOT.glob("reference/**/*.py")])

OUTSIDE = {"llvmlite", "numba", "numpy", "platformdirs", "rich", "safetensors", "scipy", "sklearn"}

# Room: what its modules may import of the package, and from outside. Deeper rooms come first.
PLAIN = {"fastmlp.checks", "fastmlp.initializers", "fastmlp.paths", "fastmlp.atomic"}
CORE = {
    *PLAIN,
    "fastmlp.engine",
    "fastmlp.inputs",
    "fastmlp.threads",
    "fastmlp.averaging",
    "fastmlp.data.errors",
    "fastmlp.data.rows",
    "fastmlp.losses",
    "fastmlp.splits",
    "fastmlp.state",
    "fastmlp.targets",
    "fastmlp.lbfgs",
    "fastmlp.augmentation",
    "fastmlp.callbacks",
    "fastmlp.history",
    "fastmlp.metrics",
    "fastmlp.optimizers",
    "fastmlp.schedules",
    "fastmlp.windows",
}
LOOP = {*CORE, "fastmlp.model", "fastmlp.model_file", "fastmlp.arguments"}
TRAINING = {*LOOP, "fastmlp.evaluation", "fastmlp.request", "fastmlp.run", "fastmlp.training"}
ROOMS = {
    "fastmlp.kernels": ({"fastmlp.kernels", "fastmlp.paths"}, {"numpy", "numba", "llvmlite"}),
    "fastmlp.engine": (
        {"fastmlp.engine", "fastmlp.kernels", "fastmlp.paths", "fastmlp.threads"},
        {"numpy", "numba"},
    ),
    "fastmlp.data": (
        {"fastmlp.data", "fastmlp.checks", "fastmlp.paths", "fastmlp.atomic"},
        {"numpy", "rich", "sklearn"},
    ),
    "fastmlp.paths": (set(), {"platformdirs"}),
    "fastmlp.atomic": (set(), set()),
    "fastmlp.checks": (set(), {"numpy"}),
    "fastmlp.augmentation": ({"fastmlp.checks"}, set()),
    "fastmlp.averaging": ({"fastmlp.checks"}, set()),
    "fastmlp.lbfgs": (set(), {"numpy", "scipy"}),
    "fastmlp.losses": ({"fastmlp.checks"}, set()),
    "fastmlp.splits": (set(), {"numpy"}),
    "fastmlp.state": (set(), {"numpy"}),
    "fastmlp.targets": (
        {"fastmlp.checks", "fastmlp.inputs", "fastmlp.losses"},
        {"numpy"},
    ),
    "fastmlp.trainer": (TRAINING, {"numpy"}),
    "fastmlp.callbacks": ({"fastmlp.checks"}, set()),
    "fastmlp.early_stopping": (
        {"fastmlp.callbacks", "fastmlp.checks", "fastmlp.metrics"},
        set(),
    ),
    "fastmlp.find_rate": ({*TRAINING, "fastmlp.trainer"}, {"numpy", "matplotlib"}),
    "fastmlp.history": ({"fastmlp.atomic"}, {"pandas"}),
    "fastmlp.logs": (
        {"fastmlp.atomic", "fastmlp.callbacks", "fastmlp.checks", "fastmlp.history"},
        {"tensorboard"},
    ),
    "fastmlp.metrics": ({"fastmlp.checks"}, {"numpy"}),
    "fastmlp.initializers": ({"fastmlp.checks"}, {"numpy", "threadpoolctl"}),
    "fastmlp.optimizers": ({"fastmlp.checks"}, {"numpy"}),
    "fastmlp.schedules": ({"fastmlp.checks"}, {"numpy"}),
    "fastmlp.threads": ({"fastmlp.checks"}, set()),
    "fastmlp.inputs": ({"fastmlp.checks", "fastmlp.data.rows"}, {"numpy"}),
    "fastmlp.windows": (
        {"fastmlp.data.errors", "fastmlp.engine", "fastmlp.inputs", "fastmlp.targets"},
        {"numpy"},
    ),
    # A model saves itself: the only import upwards, at the call.
    "fastmlp.model": ({*CORE, "fastmlp.predictor", "fastmlp.model_file"}, {"numpy"}),
    "fastmlp.predictor": (CORE, {"numpy"}),
    "fastmlp.model_file": ({*PLAIN, "fastmlp.losses", "fastmlp.model"}, {"numpy", "safetensors"}),
    "fastmlp.arguments": (LOOP, {"numpy"}),
    "fastmlp.evaluation": (LOOP, {"numpy"}),
    "fastmlp.request": (LOOP, {"numpy"}),
    "fastmlp.run": ({*LOOP, "fastmlp.request"}, {"numpy"}),
    # Upwards, at the call: what `comm` asks for.
    "fastmlp.training": ({*TRAINING, "fastmlp.distributed"}, {"numpy"}),
    "fastmlp.progress": ({"fastmlp.callbacks"}, {"rich"}),
    # Faces to the outside: each on the training loop, none on another face.
    "fastmlp.checkpoint": ({*TRAINING, "fastmlp.model_file"}, OUTSIDE),
    "fastmlp.export.__main__": ({*LOOP, "fastmlp.command", "fastmlp.export"}, set()),
    "fastmlp.export.onnx": ({"fastmlp"}, {"numpy", "onnx"}),
    "fastmlp.export.numpy_script": ({"fastmlp"}, set()),
    "fastmlp.export": ({*LOOP, "fastmlp.export"}, {*OUTSIDE, "torch"}),
    "fastmlp.report": (
        {*TRAINING, "fastmlp.assessment", "fastmlp.machine", "fastmlp.report"},
        {*OUTSIDE, "matplotlib"},
    ),
    "fastmlp.distributed": ({*TRAINING, "fastmlp.exchange", "fastmlp.ranks"}, {"numpy", "mpi4py"}),
    "fastmlp.exchange": (
        {"fastmlp.engine", "fastmlp.inputs", "fastmlp.ranks", "fastmlp.targets"},
        {"numpy", "mpi4py"},
    ),
    "fastmlp.ranks": ({"fastmlp.checks"}, {"numpy", "mpi4py"}),
    "fastmlp.sklearn": ({*TRAINING, "fastmlp.sklearn", "fastmlp.predictor"}, OUTSIDE),
    "fastmlp.settings": ({"fastmlp.checks"}, set()),
    "fastmlp.config": ({"fastmlp"}, OUTSIDE),
    "fastmlp.words": ({*TRAINING, "fastmlp.early_stopping", "fastmlp.settings"}, set()),
    "fastmlp.flags": ({"fastmlp.checks", "fastmlp.config", "fastmlp.words"}, set()),
    "fastmlp.prepare": (
        {"fastmlp.config", "fastmlp.data", "fastmlp.losses", "fastmlp.splits", "fastmlp.words"},
        {"numpy"},
    ),
    "fastmlp.reporting": (
        {"fastmlp.atomic", "fastmlp.data", "fastmlp.report", "fastmlp.result"},
        set(),
    ),
    "fastmlp.machine": ({"fastmlp"}, {"numpy"}),
    "fastmlp.result": (
        {"fastmlp.config", "fastmlp.history", "fastmlp.machine"},
        {"numpy"},
    ),
    "fastmlp.assessment": ({"fastmlp.inputs", "fastmlp.losses"}, {"numpy", "sklearn"}),
    "fastmlp.evaluate": ({"fastmlp.evaluate_command"}, set()),
    "fastmlp.evaluate_command": ({"fastmlp"}, set()),
    "fastmlp.command": ({"fastmlp", "fastmlp.data.errors"}, {"numpy"}),
    "fastmlp.demo": ({"fastmlp"}, {"starlette", "uvicorn"}),
    "fastmlp.images": ({"fastmlp.images", "fastmlp.data.errors"}, {"numpy", "PIL"}),
    "fastmlp.input_files": ({"fastmlp.data", "fastmlp.images"}, {"numpy"}),
    "fastmlp.predict": ({"fastmlp"}, {"numpy"}),
    "fastmlp.train": ({"fastmlp"}, {*OUTSIDE, "threadpoolctl"}),
    "fastmlp": ({"fastmlp"}, set()),
    "reference.mnist": ({"reference", "fastmlp"}, {"numpy"}),
    "reference.history": ({"reference"}, {"pandas"}),
    # erf; and L-BFGS.
    "reference.activations": ({"reference"}, {"numpy", "scipy"}),
    "reference.lbfgs": ({"reference"}, {"numpy", "scipy"}),
    "reference.initializers": ({"reference"}, {"numpy", "threadpoolctl"}),
    "reference": ({"reference"}, {"numpy"}),
}


KNOWN_BY_TYPE = {
    "fastmlp.augmentation",
    "fastmlp.model",
    "fastmlp.inputs",
    "fastmlp.optimizers",
    "fastmlp.targets",
}
"""What the engine may import for its annotations alone."""


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def imports_of(path, typing=False):
    """Full names that the module imports, at its top or in a function; ``typing``: for types."""
    package = path.relative_to(ROOT).parent.parts
    names = set()

    def visit(node, for_types):
        if isinstance(node, ast.Import) and for_types == typing:
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and for_types == typing:
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                # ``from a import b``: b may be a module, and then it is a.b that is known.
                inner = f"{base}.{alias.name}"
                folder = ROOT.joinpath(*inner.split("."))
                is_module = folder.is_dir() or folder.with_suffix(".py").is_file()
                names.add(inner if is_module else base)
        for child in ast.iter_child_nodes(node):
            visit(child, for_types or is_type_checking(node))

    visit(ast.parse(path.read_text()), False)
    return names


def is_in(name, rooms):
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def room_of(module):
    """The longest room that holds ``module``; the bare package is a room of its file alone."""
    rooms = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    room = max(rooms, key=len, default="fastmlp")
    assert room != "fastmlp" or module == "fastmlp", f"{module} has no row in the table"
    return room


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_module_imports_only_what_its_room_may_know(path):
    inside, outside = ROOMS[room_of(module_of(path))]
    wrong = {
        name
        for name in imports_of(path)
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not is_in(name, inside)
        and not is_in(name, outside)
    }
    assert not wrong


@pytest.mark.parametrize(
    "path", [p for p in FILES if is_in(module_of(p), {"fastmlp.kernels", "fastmlp.engine"})]
)
def test_the_engine_knows_the_model_and_its_input_by_type_only(path):
    ours = {n for n in imports_of(path, typing=True) if n.startswith("fastmlp")}
    assert all(is_in(name, KNOWN_BY_TYPE) for name in ours)


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.is_relative_to(ROOT / "fastmlp")], ids=module_of
)
def test_nothing_in_the_wheel_imports_the_reference(path):
    for names in (imports_of(path), imports_of(path, typing=True)):
        assert not any(is_in(name, {"reference", "tests", "benchmarks"}) for name in names)


def test_the_walk_sees_every_form_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "fastmlp" / "kernels").mkdir(parents=True)
    (tmp_path / "fastmlp" / "paths.py").touch()
    path = tmp_path / "fastmlp" / "kernels" / "k.py"
    path.write_text(
        "import numpy as np, torch.nn\n"
        "from fastmlp import paths\n"
        "from ..paths import cache_directory\n"
        "from . import other\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from fastmlp.model import MLP\n"
        "def f():\n    from sklearn import datasets\n"
    )
    assert imports_of(path) == {
        "numpy",
        "torch.nn",
        "fastmlp.paths",
        "fastmlp.kernels",
        "typing",
        "sklearn",
    }
    assert imports_of(path, typing=True) == {"fastmlp.model"}
