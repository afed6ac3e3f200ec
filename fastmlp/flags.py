"""A `TrainConfig` from the command line, and from the JSON of a run that is to be repeated."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastmlp.checks import shown
from fastmlp.config import FIELDS, TrainConfig, json_value
from fastmlp.words import OF_OPTIMIZER, flag_of


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of `TrainConfig`, and --config; one not given has no value."""
    groups: dict[str, Any] = {}
    for item in FIELDS.values():
        about = item.metadata
        if about["group"] not in groups:
            groups[about["group"]] = parser.add_argument_group(about["group"])
        flag: dict[str, Any] = {"help": about["text"], "default": argparse.SUPPRESS}
        if about["parse"] is None:
            flag["action"] = "store_true"
        else:
            flag |= {key: about[key] for key in ("nargs", "metavar")}
            flag["type"] = _for_argparse(about["parse"])
            if "default" not in about["text"] and item.default not in (None, ()):
                default = item.default if isinstance(item.default, tuple) else (item.default,)
                flag["help"] += f" (default: {' '.join(f'{value}' for value in default)})"
        groups[about["group"]].add_argument(flag_of(item.name), **flag)
    groups["running"].add_argument(
        "--config",
        metavar="FILE",
        help="repeat the run whose --json FILE this is; flags given beside it win",
    )


def from_flags(flags: argparse.Namespace) -> TrainConfig:
    """The configuration that the parsed flags say, and the file of ``--config`` or ``--resume``.

    Raises
    ------
    ValueError
        If settings exclude each other, or the file holds no settings.
    OSError
        If the file cannot be read.
    """
    given = dict(vars(flags))
    file = given.pop("config")
    for name, values in given.items():
        if isinstance(values, list):
            given[name] = FIELDS[name].metadata["gather"](values)
    folder = given.get("resume")
    if folder is not None:
        if file is not None:
            raise ValueError("--config and --resume exclude each other: --resume has its settings")
        file = settings_file(folder)
        if not file.is_file():
            raise FileNotFoundError(
                f"--resume: {folder} holds no checkpoints of this command, which writes "
                f"{file.name} beside them"
            )
        given.setdefault("checkpoint", folder)
    if "checkpoint_every" in given and "checkpoint" not in given:
        raise ValueError("--checkpoint-every needs --checkpoint DIR")
    settings = {} if file is None else read_settings(file)
    if _optimizer_name(given, settings) != _optimizer_name(settings):
        for name in OF_OPTIMIZER:
            settings.pop(name, None)  # were another optimiser's
    return TrainConfig(**(settings | given))


def _optimizer_name(*layers: Mapping[str, Any]) -> str:
    text = next((layer["optimizer"] for layer in layers if "optimizer" in layer), None)
    return str(text or TrainConfig.optimizer).partition(":")[0]


def settings_file(folder: str | os.PathLike[str]) -> Path:
    """Where a folder of checkpoints holds the settings of its run."""
    return Path(folder) / "config.json"


def settings_text(config: TrainConfig) -> str:
    """The settings as JSON, for `settings_file`."""
    return json.dumps(config.recorded(), indent=2, allow_nan=False) + "\n"


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Settings from a result, or from a JSON object of settings alone.

    Raises
    ------
    ValueError
        In one line, if the file holds no such thing.
    OSError
        If it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    if isinstance(values, dict) and "config" in values:
        values = values["config"]
    try:
        return from_recorded(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def from_recorded(values: object) -> dict[str, Any]:
    """Arguments of `TrainConfig` from what `TrainConfig.recorded` gave, or some of it."""
    if not isinstance(values, dict):
        raise ValueError(f"settings must be a JSON object, not {shown(values)}")
    known = [name for name, item in FIELDS.items() if item.metadata["recorded"]]
    for name in values:
        if name not in known:
            raise ValueError(f"there is no setting {shown(name)}; there are {', '.join(known)}")
    return {name: _from_json(name, value) for name, value in values.items()}


def _from_json(name: str, value: Any) -> Any:
    """The setting as its flag would make it of the same words."""
    item = FIELDS[name]
    if value is None and item.default is None:
        return None
    words = value if isinstance(value, list) else [value]
    try:
        if not words and item.metadata["nargs"] != "*" and item.default != ():
            raise ValueError("there must be a value, not []")
        parsed = [item.metadata["parse"]("none" if v is None else str(v)) for v in words]
        setting = item.metadata["gather"](parsed)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    # True == 1, and both would be a number; a text of digits would be one, too.
    if type(value) is not bool and json_value(setting) == value:
        return setting
    raise ValueError(f"{name} must be {json.dumps(json_value(setting))}, not {shown(value)}")


def _for_argparse(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse`` for argparse, whose own message for a ValueError leaves out what is allowed."""

    def parse_flag(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_flag
