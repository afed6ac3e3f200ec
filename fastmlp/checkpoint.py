"""Checkpoints: all of a training run, in a file that is whole or absent.

A file is safetensors: arrays, and JSON in its metadata. Nothing that loads runs code. The metadata
hold a digest of all the rest, so that a damaged file is never taken for a good one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastmlp.atomic import remove_remains, write_atomically
from fastmlp.callbacks import Callback
from fastmlp.checks import check_integer, shown
from fastmlp.model import MLP
from fastmlp.model_file import TENSOR_DTYPES, check_header, check_tensors, header_of, model_of
from fastmlp.state import TrainingState

FORMAT = "fastmlp.checkpoint/1"
"""Key of the JSON in a file's metadata; "sha256" is that of the digest."""

PATTERN = "epoch-*.safetensors"

Arrays = dict[str, np.ndarray[Any, Any]]


class Resumed(NamedTuple):
    """A checkpoint: the network, and where its training stood."""

    model: MLP
    state: TrainingState
    path: Path


class Checkpoint(Callback):
    """Writes a checkpoint after each epoch, or each few; see `load_checkpoint`.

    Each is a file of its own, ``epoch-000000012.safetensors``, written atomically: to a temporary
    file, flushed to the disk, and renamed. A process that is killed at any moment leaves the last
    ones as they were.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist.
    every : int, default 1
        Epochs from one to the next, 1 or more; the last epoch has one always.
    keep : int, default 3
        How many of the last ones stay, 1 or more.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed.
    OSError
        If the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int = 1, keep: int = 3) -> None:
        self.folder = Path(folder)
        self.every = check_integer("every", every, 1)
        self.keep = check_integer("keep", keep, 1)
        self._written = 0
        self._lock: int | None = None

    def check_start(self, resume: TrainingState | None) -> None:
        """Make the folder, and see that no file of another run is there, before any work is lost.

        What a killed run has left half-written is removed. A damaged file of a later epoch than
        that from which the run goes on is renamed, so that it is not taken for the newest.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._check_files(resume)
            remove_remains(self.folder)
        except BaseException:
            self.release()
            raise

    def _check_files(self, resume: TrainingState | None) -> None:
        for path in sorted(self.folder.glob(PATTERN)):
            if resume is None:
                raise ValueError(
                    f"{self.folder} holds checkpoints of another run, such as {path.name}: resume "
                    "from it, or take another folder"
                )
            if path.name <= self._name(resume.epoch):
                continue
            try:
                read_checkpoint(path)
            except (ValueError, OSError):
                path.rename(f"{path}.damaged")
            else:
                raise ValueError(
                    f"{self.folder} holds a later checkpoint, {path.name}: resume from the newest, "
                    "or take another folder"
                )

    def _take_lock(self) -> None:
        """Be the one run that writes here; the system gives it up when the process ends."""
        self.release()
        try:
            import fcntl
        except ImportError:  # Windows: two runs in one folder are not told apart
            return
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise ValueError(
                f"{self.folder} is written by another run at this moment: take another folder"
            ) from None

    def release(self) -> None:
        """Let others write here; after the training, whatever ended it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def on_train_begin(self, model: Any, epochs: int, n_samples: int) -> None:
        """Forget the run before."""
        self._written = 0

    def on_epoch_end(self, model: Any, record: Any) -> None:
        """Count."""
        self._epoch = record.epoch

    def on_checkpoint(self, model: Any, state: Callable[[], TrainingState]) -> None:
        """Write the state of the epoch if it is its turn."""
        if self._epoch % self.every == 0:
            self._write(model, state())

    def on_train_end(self, model: Any, history: Any) -> None:
        """Write the last epoch if it was not its turn."""
        if history.state is not None and history.state.epoch != self._written:
            self._write(model, history.state)

    def _write(self, model: MLP, state: TrainingState) -> None:
        save_checkpoint(self.folder / self._name(state.epoch), model, state)
        self._written = state.epoch
        for path in sorted(self.folder.glob(PATTERN))[: -self.keep]:
            with contextlib.suppress(OSError):
                path.unlink()

    @staticmethod
    def _name(epoch: int) -> str:
        return f"epoch-{epoch:09}.safetensors"  # the order of names is that of epochs


def save_checkpoint(path: Path, model: MLP, state: TrainingState) -> None:
    """Write ``state`` of the training of ``model`` to ``path``, atomically.

    Raises
    ------
    FloatingPointError
        If a parameter is NaN or infinite: no training can go on from there.
    OSError
        If the file cannot be written; what was there stays.
    """
    from importlib.metadata import version

    from safetensors.numpy import save as to_bytes

    arrays: Arrays = dict(state.arrays)
    bad = _not_finite(arrays)
    if bad:
        raise FloatingPointError(f"no checkpoint is written to {path}: {bad} holds NaN or infinity")
    values = {
        field.name: getattr(state, field.name)
        for field in dataclasses.fields(state)
        if field.name != "arrays"
    }
    values["callbacks"] = []
    for k, remembered in enumerate(state.callbacks):
        plain = {}
        for name, value in remembered.items():
            if isinstance(value, np.ndarray):
                arrays[f"callback{k}/{name}"] = value
            else:
                plain[name] = value
        values["callbacks"].append(plain)
    text = json.dumps({"fastmlp": version("fastmlp"), "model": header_of(model), "state": values})
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    metadata = json.dumps({"content": text, "sha256": _digest(text, arrays)})
    # One entry: safetensors writes several in an order that changes from file to file.
    write_atomically(path, to_bytes(arrays, metadata={FORMAT: metadata}))


def read_checkpoint(path: str | os.PathLike[str]) -> Resumed:
    """Read one file that `Checkpoint` wrote.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is damaged, or no checkpoint of fastmlp.
    """
    from safetensors import SafetensorError, safe_open

    name = os.fsdecode(path)
    with open(name, "rb"):  # a missing file or a folder is an OSError that names it
        pass
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise ValueError(f"its metadata is {shown(metadata)}, without {FORMAT!r}")
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        envelope = _object(metadata[FORMAT], {"content", "sha256"})
        if _digest(envelope["content"], arrays) != envelope["sha256"]:
            raise ValueError("its content does not have the digest that it was written with")
        content = _object(envelope["content"], {"fastmlp", "model", "state"})
        state = _state_of(content["state"])
        for k, remembered in enumerate(state.callbacks):
            prefix = f"callback{k}/"
            for key in [key for key in arrays if key.startswith(prefix)]:
                remembered[key.removeprefix(prefix)] = arrays.pop(key)
        state.arrays = arrays
        bad = _not_finite(arrays)
        if bad:
            raise ValueError(f"{bad} holds NaN or infinity")
        check_header(content["model"])
        check_tensors(
            content["model"],
            {
                name: (TENSOR_DTYPES.get(array.dtype.name, array.dtype.name), list(array.shape))
                for name, array in state.part("model").items()
            },
        )
        model = model_of(content["model"])
        model.load_state_dict(state.part("model"))
    except (SafetensorError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name} is damaged, or no checkpoint of fastmlp: {reason}") from None
    return Resumed(model, state, Path(name))


def load_checkpoint(folder: str | os.PathLike[str]) -> Resumed:
    """The newest good checkpoint of a folder, or a file that is one.

    A damaged file is passed over with a warning that says what is wrong with it.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    Resumed
        (model, state, path): ``fit(model, x, y, ..., resume=state)`` goes on.

    Raises
    ------
    FileNotFoundError
        If there is none in the folder.
    ValueError
        If all are damaged.
    """
    path = Path(folder)
    if not path.is_dir():
        return read_checkpoint(path)
    files = sorted(path.glob(PATTERN), reverse=True)
    if not files:
        raise FileNotFoundError(f"{path}: there is no checkpoint ({PATTERN}) in this folder")
    for file in files:
        try:
            return read_checkpoint(file)
        except (ValueError, OSError) as error:
            problem = str(error)
            if file is not files[-1]:
                warnings.warn(f"{problem}; the checkpoint before it is taken", stacklevel=2)
    raise ValueError(f"{path}: no checkpoint in this folder is good; {problem}")


def _state_of(values: Any) -> TrainingState:
    """A state of these fields, but for its arrays."""
    fields = {name: type(value) for name, value in vars(TrainingState()).items()}
    del fields["arrays"]
    if not isinstance(values, dict) or fields != {k: type(value) for k, value in values.items()}:
        raise ValueError(f"its state must be an object of {', '.join(fields)}")
    if not all(isinstance(remembered, dict) for remembered in values["callbacks"]):
        raise ValueError("its callbacks must be objects")
    return TrainingState(**values)


def _not_finite(arrays: Mapping[str, Any]) -> str:
    """A parameter or the average of one that is not finite; "" if there is none."""
    for name, array in arrays.items():
        if name.startswith(("model/", "average/")) and not np.isfinite(array).all():
            return name
    return ""


def _digest(text: Any, arrays: Mapping[str, Any]) -> str:
    """Over the JSON, and every array's name, type, shape and bytes."""
    digest = hashlib.sha256(str(text).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _object(text: Any, keys: set[str]) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"its metadata is no JSON ({error})") from None
    if not isinstance(value, dict) or set(value) != keys:
        raise ValueError(f"its metadata must be an object of {', '.join(sorted(keys))}")
    return value
