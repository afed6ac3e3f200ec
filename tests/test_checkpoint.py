"""Checkpoints: a run that goes on ends with the bits of one that never stopped."""

import builtins
import dataclasses
import json
import os
import pickle
import shutil
import struct
import warnings

import numpy as np
import pytest
import safetensors.numpy

import fastmlp
from fastmlp import atomic
from fastmlp.checkpoint import FORMAT, PATTERN, read_checkpoint, save_checkpoint
from fastmlp.model_file import save
from tests.features import build

EPOCHS, BEFORE = 6, 3

RESUMED = [
    "momentum",
    "adam, decay",
    "nadam",
    "rmsprop, momentum",
    "adagrad",
    "lion",
    "sample weights",
    "multi-label",
    "huber",
    "dropout of each layer, input",
    "layer norm, dropout, gelu",
    "batch norm",
    "both norms, decay",
    "clip by norm",
    "max-norm",
    "schedule",
    "adam, schedule",
    "EMA, batch norm",
    "SWA",
    "augmentation",
]

AROUND = {
    "early stopping": lambda: {
        "optimizer": fastmlp.Adam(lr=0.03),
        "validation_fraction": 0.3,
        "callbacks": [fastmlp.EarlyStopping(patience=3)],
    },
    "early stopping on an average": lambda: {
        "averaging": fastmlp.EMA(0.8),
        "validation_fraction": 0.3,
        "metrics": ["f1", "top_2"],
        "callbacks": [fastmlp.EarlyStopping("f1", patience=9)],
    },
    "plateau": lambda: {
        "optimizer": fastmlp.SGD(lr=0.2),
        "validation_fraction": 0.3,
        "schedule": fastmlp.ReduceOnPlateau(patience=0, cooldown=1, factor=0.3),
    },
    "SWA that starts later": lambda: {"averaging": fastmlp.SWA(BEFORE + 1)},
    "in order": lambda: {"shuffle": False},
}
"""Features of the loop that the table of features does not have."""


class Stop(fastmlp.Callback):
    """Ends a training as a user does who thinks of its whole length."""

    def on_epoch_end(self, model, record):
        return record.epoch == BEFORE


def prepare(feature, dtype="float32", epochs=EPOCHS):
    """Model, samples, targets, and arguments of fit, all new."""
    if feature not in AROUND:
        return build(fastmlp, feature, dtype, epochs)
    model, x, y, options = build(fastmlp, "relu", dtype, epochs)
    return model, x, y, options | AROUND[feature]()


def train(prepared, **more):
    model, x, y, options = prepared
    callbacks = [*options.get("callbacks", ()), *more.pop("callbacks", ())]
    return fastmlp.fit(model, x, y, **options | more | {"callbacks": callbacks})


def assert_same_end(ours, history, expected, expected_history):
    for name, array in expected.state_dict().items():
        assert ours.state_dict()[name].tobytes() == array.tobytes(), name
    records, wanted = (
        [dataclasses.asdict(epoch) | {"seconds": 0.0} for epoch in each.epochs]
        for each in (history, expected_history)
    )
    assert records == wanted
    states = history.state, expected_history.state
    assert states[0].step == states[1].step
    assert states[0].arrays.keys() == states[1].arrays.keys()
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name], name)


# --- going on -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [(1, 2), (2, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("feature", [*RESUMED, *AROUND])
def test_a_run_that_goes_on_ends_with_the_bits_of_one_that_never_stopped(feature, dtype, threads):
    whole = prepare(feature, dtype)
    wanted = train(whole, threads=threads[0])
    first = train(prepare(feature, dtype), threads=threads[0], callbacks=[Stop()])
    assert first.state.epoch == BEFORE < wanted.epochs[-1].epoch
    again = prepare(feature, dtype)
    for array in again[0].weights:
        array[...] = 7  # the state's count
    history = train(again, threads=threads[1], resume=first.state)
    assert_same_end(again[0], history, whole[0], wanted)


@pytest.mark.parametrize("feature", ["adam, decay", "EMA, batch norm", "dropout"])
def test_a_run_can_be_made_longer(feature):
    whole = prepare(feature)
    wanted = train(whole)
    short = prepare(feature, epochs=BEFORE)
    history = train((*short[:3], short[3] | {"epochs": EPOCHS}), resume=train(short).state)
    assert_same_end(short[0], history, whole[0], wanted)


@pytest.mark.parametrize("feature", ["nadam", "both norms, decay", "SWA", *AROUND])
def test_a_file_carries_all_of_it(feature, tmp_path):
    whole = prepare(feature)
    wanted = train(whole)
    train(prepare(feature), callbacks=[fastmlp.Checkpoint(tmp_path), Stop()])
    model, state, path = fastmlp.load_checkpoint(tmp_path)
    assert (state.epoch, path.name) == (BEFORE, "epoch-000000003.safetensors")
    _, x, y, options = prepare(feature)
    # Callbacks that remember nothing may come and go.
    callbacks = [fastmlp.Checkpoint(tmp_path), *options.pop("callbacks", ())]
    history = train((model, x, y, options), resume=state, callbacks=callbacks)
    assert_same_end(model, history, whole[0], wanted)
    assert fastmlp.load_checkpoint(tmp_path).state.epoch == wanted.epochs[-1].epoch


def test_a_state_can_be_resumed_more_than_once():
    state = train(prepare("early stopping"), callbacks=[Stop()]).state
    ends = []
    for _ in range(2):
        prepared = prepare("early stopping")
        train(prepared, resume=state)
        ends.append(prepared[0].parameters.tobytes())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("ends", ["early stopping", "target_accuracy"])
def test_a_run_that_had_ended_early_ends_at_once(ends, tmp_path):
    """It may be killed after its last checkpoint, before it has told anyone of its end."""
    more = {} if ends == "early stopping" else {"target_accuracy": 0.1, "validation_fraction": 0.3}
    feature = "early stopping" if ends == "early stopping" else "relu"
    whole = prepare(feature, epochs=60)
    checkpoint = fastmlp.Checkpoint(tmp_path)
    wanted = train(whole, callbacks=[checkpoint], **more)
    assert len(wanted.epochs) < 60
    model, state, _ = fastmlp.load_checkpoint(tmp_path)
    _, x, y, options = prepare(feature, epochs=60)
    history = train((model, x, y, options), resume=state, callbacks=[checkpoint], **more)
    assert_same_end(model, history, whole[0], wanted)
    if ends == "early stopping":
        ours, expected = options["callbacks"][0], whole[3]["callbacks"][0]
        assert ours.stopped_epoch == expected.stopped_epoch == len(wanted.epochs)
        patient = options | {"callbacks": [fastmlp.EarlyStopping(patience=4)]}
        assert len(train((model, x, y, patient), resume=state).epochs) > len(wanted.epochs)


# --- what cannot go on ----------------------------------------------------------------------------


def other(**settings):
    """A network of other settings."""
    return {"model": {"layers": [20, 17, 10, 4], "dtype": "float32", "seed": 1} | settings}


OTHERS = {
    "optimizer": {"optimizer": fastmlp.Adam(lr=0.1)},
    "optimizer, another rate": {"optimizer": fastmlp.SGD(lr=0.11)},
    "batch_size": {"batch_size": 15},
    "seed": {"seed": 6},
    "shuffle": {"shuffle": False},
    "schedule": {"schedule": fastmlp.Exponential(0.5)},
    "averaging": {"averaging": fastmlp.EMA()},
    "augmentation": {"augmentation": fastmlp.Augmentation((4, 5), shift=1)},
    "clip_norm": {"clip_norm": 1.0},
    "clip_value": {"clip_value": 1.0},
    "max_norm": {"max_norm": 1.0},
    "samples": {"samples": 49},
    "samples, some held out": {"validation_fraction": 0.2},
    "layers": other(layers=[20, 17, 11, 4]),
    "layers, fewer": other(layers=[20, 17, 4]),
    "dtype": other(dtype="float64"),
    "activation": other(activation="tanh"),
    "loss": other(loss=fastmlp.CrossEntropy(label_smoothing=0.1)),
    "norm": other(norm="layer"),
    "dropout": other(dropout=0.5),
    "input_dropout": other(input_dropout=0.5),
    "uint8_scale": other(uint8_scale=1.0),
    "epochs": {"epochs": BEFORE - 1},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_settings_are_refused_before_anything_changes(name, tmp_path):
    state = train(prepare("relu", epochs=BEFORE)).state
    model, x, y, options = prepare("relu", epochs=EPOCHS)
    changed = dict(OTHERS[name])
    if "model" in changed:
        model = fastmlp.MLP(**changed.pop("model"))
    count = changed.pop("samples", len(x))
    before = model.parameters.tobytes()
    with pytest.raises(ValueError, match=rf"^{name.split(',')[0]} .* to resume.*, not ") as caught:
        train(
            (model, x[:count], y[:count], options | changed),
            resume=state,
            callbacks=[fastmlp.Checkpoint(tmp_path / "new")],
        )
    assert "\n" not in str(caught.value)
    assert model.parameters.tobytes() == before
    assert not (tmp_path / "new").exists()


def test_what_is_no_state_is_refused():
    with pytest.raises(TypeError, match=r"^resume must be a TrainingState, not 3"):
        train(prepare("relu"), resume=3)
    with pytest.raises(ValueError, match=r"^resume is not possible with LBFGS"):
        train(prepare("relu"), optimizer=fastmlp.LBFGS(), resume=fastmlp.TrainingState())
    state = train(prepare("momentum", epochs=1)).state
    del state.arrays["optimizer/W1/0"]
    with pytest.raises(ValueError, match="optimizer/W1/0"):
        train(prepare("momentum"), resume=state)


def test_a_callback_that_refuses_leaves_the_model():
    state = train(prepare("early stopping", epochs=1)).state
    prepared = prepare("relu")
    before = prepared[0].parameters.tobytes()
    with pytest.raises(ValueError, match=r"^EarlyStopping monitors val_accuracy"):
        train(
            prepared,
            **AROUND["early stopping"]()
            | {"resume": state, "callbacks": [fastmlp.EarlyStopping("val_accuracy")]},
        )
    assert prepared[0].parameters.tobytes() == before


# --- files ----------------------------------------------------------------------------------------


def names(folder):
    return sorted(os.listdir(folder))


def epochs_of(folder):
    return [int(name[6:15]) for name in names(folder) if name.startswith("epoch-")]


@pytest.fixture(scope="module")
def folder_of_three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    train(prepare("batch norm", epochs=3), callbacks=[fastmlp.Checkpoint(folder)])
    return folder


@pytest.fixture
def folder(folder_of_three, tmp_path):
    """Checkpoints of epochs 1 to 3."""
    return shutil.copytree(folder_of_three, tmp_path / "folder")


@pytest.fixture
def newest(folder):
    return folder / "epoch-000000003.safetensors"


@pytest.mark.parametrize(
    ("every", "keep", "epochs", "left"),
    [
        (1, 3, 6, [4, 5, 6]),
        (1, 1, 3, [3]),
        (2, 9, 5, [2, 4, 5]),
        (4, 3, 3, [3]),
        (2, 2, 8, [6, 8]),
        (1, 3, 0, []),
    ],
)
def test_every_so_many_epochs_and_the_last_are_kept(tmp_path, every, keep, epochs, left):
    checkpoint = fastmlp.Checkpoint(tmp_path / "deep" / "er", every=every, keep=keep)
    train(prepare("relu", epochs=epochs), callbacks=[checkpoint])
    assert epochs_of(tmp_path / "deep" / "er") == left
    assert len(names(tmp_path / "deep" / "er")) == len(left)


@pytest.mark.parametrize("arguments", [{"every": 0}, {"keep": 0}, {"keep": -1}])
def test_a_wrong_number_is_refused(tmp_path, arguments):
    with pytest.raises(ValueError, match=f"^{next(iter(arguments))} must be an integer, 1 or more"):
        fastmlp.Checkpoint(tmp_path, **arguments)


def test_another_runs_folder_is_refused_before_training(folder):
    before = names(folder)
    prepared = prepare("batch norm")
    parameters = prepared[0].parameters.tobytes()
    with pytest.raises(ValueError, match=f"^{folder} holds checkpoints of another run, .*resume"):
        train(prepared, callbacks=[fastmlp.Checkpoint(folder)])
    state = read_checkpoint(folder / "epoch-000000002.safetensors").state
    with pytest.raises(ValueError, match=f"^{folder} holds a later checkpoint, epoch-000000003"):
        train(prepared, resume=state, callbacks=[fastmlp.Checkpoint(folder)])
    assert prepared[0].parameters.tobytes() == parameters
    assert names(folder) == before


def test_what_a_killed_writer_left_is_removed(folder):
    (folder / f"{atomic.PREFIX}half").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    train(
        prepare("batch norm", epochs=3),
        resume=fastmlp.load_checkpoint(folder).state,
        callbacks=[fastmlp.Checkpoint(folder)],
    )
    assert names(folder) == [*(f"epoch-00000000{k}.safetensors" for k in (1, 2, 3)), "notes.txt"]


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path):
    (tmp_path / "file").touch()
    prepared = prepare("relu")
    before = prepared[0].parameters.tobytes()
    with pytest.raises(OSError, match="file"):
        train(prepared, callbacks=[fastmlp.Checkpoint(tmp_path / "file" / "folder")])
    assert prepared[0].parameters.tobytes() == before


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch, failing):
    class Full(fastmlp.Callback):
        def on_epoch_begin(self, model, epoch):
            if epoch == 3:
                monkeypatch.setattr(atomic.os, failing, self.fail)

        def fail(self, *_):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left .*epoch-000000003"):
        train(prepare("relu"), callbacks=[fastmlp.Checkpoint(tmp_path, keep=1), Full()])
    monkeypatch.undo()
    assert names(tmp_path) == ["epoch-000000002.safetensors"]
    whole, (model, state, _) = prepare("relu"), fastmlp.load_checkpoint(tmp_path)
    train((model, *prepare("relu")[1:]), resume=state, callbacks=[fastmlp.Checkpoint(tmp_path)])
    train(whole)
    assert model.parameters.tobytes() == whole[0].parameters.tobytes()


def test_parameters_that_are_not_finite_do_not_replace_good_ones(tmp_path):
    class Spoil(fastmlp.Callback):
        def on_epoch_end(self, model, record):
            if record.epoch == 2:
                model.weights[1][0, 0] = np.nan

    with pytest.raises(FloatingPointError, match=r"epoch-000000002.*model/W2 holds NaN"):
        train(prepare("relu"), callbacks=[fastmlp.Checkpoint(tmp_path, keep=1), Spoil()])
    assert epochs_of(tmp_path) == [1]


def test_writing_twice_gives_the_same_bytes(folder, newest):
    before = newest.read_bytes()
    model, state, path = read_checkpoint(newest)
    save_checkpoint(newest, model, state)
    assert path == newest
    assert newest.read_bytes() == before


def test_any_record_and_callback_survives_the_file(tmp_path):
    model, state = prepare("relu")[0], train(prepare("relu", epochs=1)).state
    values = {"scalar": np.float64(0.1), "flag": np.array(True), "none": None, "list": [1, "ü", {}]}
    state.callbacks = [{}, values | {"array": np.arange(6).reshape(2, 3).T}]
    state.epochs[0] |= {"val_loss": float("inf"), "metrics": {"f1": 1 / 3}}
    state.step = 2**70
    save_checkpoint(tmp_path / "one", model, state)
    loaded = read_checkpoint(tmp_path / "one").state
    assert (loaded.step, loaded.epochs) == (2**70, state.epochs)
    assert loaded.callbacks[0] == {}
    for name, value in state.callbacks[1].items():
        np.testing.assert_array_equal(loaded.callbacks[1][name], value, strict=True)


# --- damage ---------------------------------------------------------------------------------------


def refusal(path):
    """Reading is refused by one line that names the file."""
    with pytest.raises(ValueError, match="is damaged, or no checkpoint of fastmlp: ") as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert type(caught.value) is ValueError
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 500
    return message


def test_no_flipped_bit_is_accepted(newest):
    content = newest.read_bytes()
    header = struct.unpack("<Q", content[:8])[0] + 8
    rng = np.random.default_rng(0)
    places = [*range(8), *rng.integers(8, header, 300), *rng.integers(header, len(content), 200)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        newest.write_bytes(damaged)
        refusal(newest)


def test_no_truncation_is_accepted(newest):
    content = newest.read_bytes()
    for length in [*range(0, len(content), 997), *range(len(content) - 9, len(content))]:
        newest.write_bytes(content[:length])
        refusal(newest)
    newest.write_bytes(content + b"\0")
    refusal(newest)


def test_swapped_zeroed_and_repeated_blocks_are_refused(newest):
    """As a disk may give back blocks that were never written, or those of another file."""
    content = newest.read_bytes()
    other = (newest.parent / "epoch-000000002.safetensors").read_bytes()
    for begin in range(0, len(content), 4096):
        for block in (bytes(4096), other[begin : begin + 4096], content[:4096]):
            damaged = (content[:begin] + block + content[begin + 4096 :])[: len(content)]
            if damaged != content:
                newest.write_bytes(damaged)
                refusal(newest)


def rewritten(path, change):
    """The file again, after ``change(content)``, with the digest of what it holds then."""
    from fastmlp.checkpoint import _digest

    arrays = dict(safetensors.numpy.load_file(path))
    text = path.read_bytes()
    (length,) = struct.unpack("<Q", text[:8])
    envelope = json.loads(json.loads(text[8 : 8 + length])["__metadata__"][FORMAT])
    content = json.loads(envelope["content"])
    change(content, arrays)
    content = json.dumps(content)
    metadata = json.dumps({"content": content, "sha256": _digest(content, arrays)})
    path.write_bytes(safetensors.numpy.save(arrays, metadata={FORMAT: metadata}))


def test_a_file_rewritten_as_it_is_is_read(newest):
    rewritten(newest, lambda content, arrays: None)
    assert read_checkpoint(newest).state.epoch == 3


WRONG = {
    "NaN": (lambda c, a: a["model/W2"].fill(np.nan), "model/W2 holds NaN or infinity"),
    "no model": (lambda c, a: c.pop("model"), "fastmlp, model, state"),
    "no state": (lambda c, a: c.update(state={}), "epoch, step"),
    "a state that is text": (lambda c, a: c.update(state="x"), "epoch, step"),
    "an epoch that is text": (lambda c, a: c["state"].update(epoch="3"), "epoch, step"),
    "callbacks of numbers": (lambda c, a: c["state"].update(callbacks=[3]), "callbacks"),
    "a huge layer": (lambda c, a: c["model"].update(layers=[20, 10**13, 10, 4]), "W1"),
    "another layer": (lambda c, a: c["model"].update(layers=[20, 18, 10, 4]), "W1"),
    "another dtype": (lambda c, a: c["model"].update(dtype="float64"), "F32"),
    "an unknown loss": (lambda c, a: c["model"].update(loss={"name": "hinge"}), "loss"),
    "an array missing": (lambda c, a: a.pop("model/mean1"), "mean1"),
    "an array too many": (lambda c, a: a.update({"model/W9": np.zeros(3, "f4")}), "W9"),
    "an argument too many": (lambda c, a: c["model"].update(code="import os"), "header"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_well_formed_file_of_wrong_content_is_refused(newest, case):
    change, word = WRONG[case]
    rewritten(newest, change)
    assert word in refusal(newest)


def write_model_file(path):
    save(prepare("relu")[0], path)


FOREIGN = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("epoch 3\n" * 100),
    "a zip": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps([{}])),
    "a model file": write_model_file,
    "plain safetensors": lambda path: safetensors.numpy.save_file({"W1": np.zeros(3)}, path),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_and_the_checkpoint_before_it_found(folder, newest, kind):
    FOREIGN[kind](newest)
    message = refusal(newest)
    with pytest.warns(UserWarning, match="the checkpoint before it is taken$") as caught:
        model, state, path = fastmlp.load_checkpoint(folder)
    assert [str(each.message) for each in caught] == [
        f"{message}; the checkpoint before it is taken"
    ]
    assert (state.epoch, path.name) == (2, "epoch-000000002.safetensors")
    # It goes on, beside the damaged file, to the same end.
    whole = prepare("batch norm", epochs=4)
    train(whole)
    train(
        (model, *prepare("batch norm", epochs=4)[1:]),
        resume=state,
        callbacks=[fastmlp.Checkpoint(folder, keep=2)],
    )
    assert model.parameters.tobytes() == whole[0].parameters.tobytes()
    assert names(folder) == [
        "epoch-000000003.safetensors",
        "epoch-000000003.safetensors.damaged",
        "epoch-000000004.safetensors",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fastmlp.load_checkpoint(folder).state.epoch == 4


def test_a_folder_without_a_good_one_says_so(folder, tmp_path):
    for path in folder.glob(PATTERN):
        path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.warns(UserWarning, match="the checkpoint before it is taken$") as caught,
        pytest.raises(ValueError, match=f"^{folder}: no checkpoint .* is good; .*000001"),
    ):
        fastmlp.load_checkpoint(folder)
    assert len(caught) == 2
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        fastmlp.load_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        fastmlp.load_checkpoint(tmp_path / "absent")


def test_a_single_file_is_loaded_or_refused(newest):
    assert fastmlp.load_checkpoint(newest).state.epoch == 3
    newest.write_bytes(b"")
    with pytest.raises(ValueError, match="is damaged"):
        fastmlp.load_checkpoint(str(newest))


def test_nothing_that_loads_runs_code(newest, monkeypatch):
    """No pickle, no eval, no import by a name that the file gives."""
    read_checkpoint(newest)  # imports what it needs

    def never(*_, **__):
        raise AssertionError("code of the file was run")

    for module in (builtins, pickle):
        for name in {"eval", "exec", "load", "loads"} & set(dir(module)):
            monkeypatch.setattr(module, name, never)
    assert read_checkpoint(newest).state.epoch == 3
    assert fastmlp.load_checkpoint(newest.parent).state.epoch == 3
