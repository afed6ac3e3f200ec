"""Models for other programs, and from them: what predicts is carried over.

ONNX, PyTorch, scikit-learn, and a script that needs NumPy alone; ``docs/export.md``. Of what only
trains (the settings of a loss, initial parameters) each keeps what it has a place for.
"""

from fastmlp.export.numpy_script import to_numpy_script
from fastmlp.export.onnx import to_onnx
from fastmlp.export.sklearn import from_sklearn, to_sklearn
from fastmlp.export.torch import to_torch, to_torch_file, torch_sequential
from fastmlp.export.torch_import import from_torch

__all__ = [
    "from_sklearn",
    "from_torch",
    "to_numpy_script",
    "to_onnx",
    "to_sklearn",
    "to_torch",
    "to_torch_file",
    "torch_sequential",
]
