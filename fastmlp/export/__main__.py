"""``python -m fastmlp.export MODEL OUTPUT``: write a model file in another program's form."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastmlp.atomic import check_writable
from fastmlp.command import DONE, Command, model_of_argument, open_streams, print_result
from fastmlp.export.numpy_script import to_numpy_script
from fastmlp.export.onnx import to_onnx
from fastmlp.export.torch import to_torch_file

COMMAND = Command("fastmlp.export")

FORMS = {
    ".onnx": "ONNX",
    ".py": "a script that needs NumPy alone",
    ".safetensors": "the state_dict of an nn.Sequential of PyTorch",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    open_streams()
    forms = ", ".join(f"{suffix}: {form}" for suffix, form in FORMS.items())
    parser = COMMAND.parser(
        "MODEL OUTPUT [options]",
        f"Write a model file of fastmlp in the form that the suffix of OUTPUT says. {forms}.",
    )
    parser.add_argument("model", metavar="MODEL", help="what fastmlp.train --save has written")
    parser.add_argument("output", metavar="OUTPUT", help="replaced if it exists")
    parser.add_argument(
        "--dtype", help="of the input, for ONNX: uint8, or the model's own (the default)"
    )
    flags = parser.parse_args(arguments)
    return COMMAND.run(lambda: _export(flags.model, flags.output, flags.dtype))


def _export(source: str, output: str, dtype: str | None) -> int:
    suffix = Path(output).suffix
    if suffix not in FORMS:
        raise ValueError(f"OUTPUT must end in {', '.join(FORMS)}, not {output!r}")
    if dtype is not None and suffix != ".onnx":
        raise ValueError(f"--dtype is for an OUTPUT of .onnx, not {suffix}")
    if os.path.realpath(source) == os.path.realpath(output):
        raise ValueError(f"MODEL and OUTPUT must be different, not both {output}")
    check_writable(Path(output), "OUTPUT")
    model = model_of_argument(source)
    if suffix == ".onnx":
        to_onnx(model, output, dtype=dtype)
    elif suffix == ".py":
        to_numpy_script(model, output)
    else:
        to_torch_file(model, output)
    sizes = "-".join(map(str, model.layers))
    print_result(f"{output}: {sizes}, {model.dtype}, as {FORMS[suffix]}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
