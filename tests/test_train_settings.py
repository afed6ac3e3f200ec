"""Every setting of ``python -m fastmlp.train``: what it does, how it is refused and repeated."""

import hashlib
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastmlp
import fastmlp.train
import reference
from fastmlp.config import FIELDS, TrainConfig
from fastmlp.flags import from_recorded
from fastmlp.losses import LOSSES
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.schedules import SCHEDULES
from fastmlp.settings import create, create_of
from tests.commands import ctrl_c_in_epoch, runner

ENGINES = ["fast", "reference"]

SMALL = ("--hidden", 8, "--epochs", 3, "--batch-size", 16, "--threads", 1)


def write(path, x, y):
    np.savez(path, x_train=x[30:], y_train=y[30:], x_test=x[:30], y_test=y[:30])
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Paths by what they hold: labels, two classes, images, numbers, counts, several outputs."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = (np.array([[0, 0], [4, 0], [0, 4]])[y] + rng.standard_normal((150, 2))).astype(np.float32)
    images = rng.random((150, 4, 5)).astype(np.float32)
    arrays = {
        "labels": (x, y),
        "two": (x, (y > 0).astype(int)),
        "images": (images, y),
        "real": (x / 4, (x[:, 0] - x[:, 1]) / 4),
        "counts": (x / 4, y.astype(np.float64)),
        "outputs": (x, (x > 1).astype(np.uint8)),
        "rows": (x, np.eye(3)[y]),
    }
    return {name: write(folder / f"{name}.npz", *pair) for name, pair in arrays.items()}


@pytest.fixture
def command(capsys, monkeypatch):
    """Run the command in this process: its status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    return runner(fastmlp.train.main, capsys)


@pytest.fixture
def result(command):
    """The JSON object of a run that is done."""

    def run(*options):
        status, out, err = command(*SMALL, "--quiet", *options, "--json", "-")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run


def assert_refused(done, status, *words):
    assert done[0] == status, done
    assert done[1] == ""
    assert re.fullmatch(r"fastmlp\.train: error: [^\n]+\n", done[2])
    for word in words:
        assert word in done[2]


# --- what the flags do ----------------------------------------------------------------------------

CHANGES = {
    # options: the data that they are for
    "--activation tanh": "labels",
    "--norm layer": "labels",
    "--norm batch": "labels",
    "--loss cross_entropy:label_smoothing=0.2": "labels",
    "--init orthogonal": "labels",
    "--optimizer sgd:momentum=0.9": "labels",
    "--optimizer sgd:momentum=0.9,nesterov=true": "labels",
    "--optimizer sgd:lr_multipliers=1/0.5": "labels",
    "--optimizer adam:betas=0.8/0.9": "labels",
    "--optimizer adamw": "labels",
    "--optimizer nadam": "labels",
    "--optimizer rmsprop:alpha=0.9,momentum=0.5": "labels",
    "--optimizer adagrad:initial_accumulator=0.1": "labels",
    "--optimizer lion": "labels",
    "--optimizer lbfgs:history_size=3": "labels",
    "--lr 0.1": "labels",
    "--schedule cosine:warmup=1": "labels",
    "--schedule step:size=1,gamma=0.5": "labels",
    "--schedule one_cycle": "labels",
    "--class-weight balanced": "two",
    "--class-weight 1 2 3": "labels",
    "--averaging ema:decay=0.9": "labels",
    "--averaging swa": "labels",
    "--seed 1": "labels",
    "--weight-decay 0.1": "labels",
    "--dropout 0.3": "labels",
    "--input-dropout 0.3": "labels",
    "--clip-norm 0.1": "labels",
    "--clip-value 0.01": "labels",
    "--max-norm 0.5": "labels",
    "--augment shift=1": "images",
    "--augment rotation=20,image_shape=2x2x5": "images",
    "--loss huber:delta=0.1": "real",
    "--loss absolute_error": "real",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_setting_changes_what_is_learned_and_no_two_do_the_same(data, result, engine):
    seen = {}
    for name in ("labels", "two", "images", "real"):
        plain = result("--data", data[name], "--engine", engine)
        assert np.isfinite(plain["test_loss"])
        seen[plain["parameter_sha256"]] = name
    for options, name in CHANGES.items():
        changed = result("--data", data[name], "--engine", engine, *options.split())
        assert np.isfinite(changed["test_loss"])
        key = changed["parameter_sha256"]
        assert key not in seen, f"{options} is as {seen[key]}"
        seen[key] = options


RICH = """
    --hidden 8 7 --activation tanh gelu --norm none layer --dropout 0 0.2 --input-dropout 0.1
    --loss cross_entropy:label_smoothing=0.1 --optimizer sgd:momentum=0.9,nesterov=true
    --weight-decay 0.001 --schedule cosine:warmup=3,unit=step,minimum=0.01 --class-weight 1 2 1
    --clip-norm 0.5 --max-norm 2 --averaging ema:decay=0.9 --val-fraction 0.2 --metrics f1 top_2
    --early-stopping patience=2,monitor=f1 --dtype float64 --lr 0.05 --seed 7 --epochs 5
""".split()  # noqa: SIM905


@pytest.mark.parametrize("engine", ENGINES)
def test_the_command_does_what_fit_does(data, result, engine, tmp_path):
    path = tmp_path / "model"
    done = result("--data", data["labels"], "--engine", engine, *RICH, "--save", path)
    package = {"fast": fastmlp, "reference": reference}[engine]
    losses, schedules = (package.losses, package.schedules)
    model = package.MLP(
        [2, 8, 7, 3],
        activation=("tanh", "gelu"),
        norm=(None, "layer"),
        dropout=(0, 0.2),
        input_dropout=0.1,
        loss=losses.CrossEntropy(label_smoothing=0.1),
        dtype="float64",
        seed=7,
    )
    arrays = fastmlp.load_dataset(data["labels"])
    history = package.fit(
        model,
        arrays.x_train,
        arrays.y_train,
        epochs=5,
        batch_size=16,
        optimizer=package.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.001),
        schedule=schedules.Cosine(minimum=0.01, warmup=3, unit="step"),
        class_weight=[1, 2, 1],
        clip_norm=0.5,
        max_norm=2,
        averaging=package.EMA(decay=0.9),
        validation_fraction=0.2,
        metrics=["f1", "top_2"],
        callbacks=[package.EarlyStopping(monitor="f1", patience=2)],
        seed=7,
    )
    saved = fastmlp.load(path).state_dict()
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(saved[name], array, rtol=0, atol=1e-12)
    assert len(done["epochs"]) == len(history.epochs)
    for ours, theirs in zip(done["epochs"], history.epochs, strict=True):
        assert ours["metrics"] == pytest.approx(theirs.metrics)
        assert ours["learning_rate"] == theirs.learning_rate


def test_the_parameter_sum_covers_the_norms_in_the_order_of_the_layers(data, result, tmp_path):
    path = tmp_path / "model"
    done = result("--data", data["labels"], "--norm", "batch", "--save", path)
    state = fastmlp.load(path).state_dict()
    assert list(state) == ["W1", "b1", "scale1", "shift1", "mean1", "variance1", "W2", "b2"]
    content = b"".join(array.astype("<f4").tobytes() for array in state.values())
    assert done["parameter_sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        (("--target-accuracy", 0.01, "--val-fraction", 0.2), 1),
        (("--max-seconds", 1e-9), 1),
        (("--early-stopping", "patience=2,min_delta=100,monitor=train_loss"), 3),
    ],
)
def test_training_stops(data, result, engine, options, epochs):
    done = result("--data", data["labels"], "--epochs", 9, "--engine", engine, *options)
    assert len(done["epochs"]) == epochs


def test_early_stopping_is_said_and_keeps_the_best_epoch(data, command, result):
    options = ("--data", data["labels"], "--val-fraction", 0.2)
    stopping = ("--early-stopping", "patience=2,min_delta=100,monitor=val_loss", "--epochs", 9)
    status, _, err = command(*SMALL, *options, *stopping)
    last = "fastmlp.train: stopped after epoch 3: val_loss has been best in epoch 1"
    assert (status, err.splitlines()[-1]) == (0, last)
    best, first = result(*options, *stopping), result(*options, "--epochs", 1)
    assert best["parameter_sha256"] == first["parameter_sha256"]


@pytest.mark.parametrize("engine", ENGINES)
def test_regression_has_no_accuracy(data, command, result, engine):
    options = ("--data", data["real"], "--val-fraction", 0.2, "--metrics", "r2", "mae")
    done = result(*options, "--engine", engine)
    assert done["layers"] == [2, 8, 1]
    assert done["test_accuracy"] is None
    assert done["test_loss"] < 0.2
    assert done["config"]["loss"] == "squared_error"
    for epoch in done["epochs"]:
        assert epoch["train_accuracy"] is epoch["val_accuracy"] is None
        assert list(epoch["metrics"]) == ["r2", "mae"]
    status, out, err = command(*SMALL, *options, "--engine", engine)
    assert status == 0
    assert "accuracy" not in out + err
    assert "2-8-1 relu, squared_error, 33 parameters" in out
    assert re.search(r"^ +validation  loss \d\.\d{4}, r2 -?\d\.\d{4}, mae \d\.\d{4}$", out, re.M)
    assert len(re.findall(r"^epoch \d/3  loss .* val loss .* r2 ", err, re.M)) == 3


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "options", "n_outputs", "accuracy"),
    [
        ("two", ["--loss", "binary_cross_entropy", "--class-weight", "balanced"], 1, True),
        ("outputs", ["--loss", "binary_cross_entropy"], 2, True),
        ("outputs", [], 2, False),
        ("rows", ["--loss", "cross_entropy"], 3, True),
        ("counts", ["--loss", "poisson"], 1, False),
    ],
)
def test_the_outputs_are_those_of_the_targets_and_the_loss(
    data, result, engine, name, options, n_outputs, accuracy
):
    done = result("--data", data[name], *options, "--engine", engine, "--val-fraction", 0.2)
    assert done["layers"] == [2, 8, n_outputs]
    assert (done["test_accuracy"] is not None) == accuracy
    assert done["epochs"][2]["train_loss"] < done["epochs"][0]["train_loss"]


def test_the_validation_set_of_numbers_is_drawn_by_the_seed(data, result):
    options = ("--data", data["real"], "--val-fraction", 0.25)
    one, again, other = (result(*options, "--seed", seed) for seed in (1, 1, 2))
    assert one["n_train"] == 90
    assert one["epochs"][0]["val_loss"] == again["epochs"][0]["val_loss"]
    assert one["epochs"][0]["val_loss"] != other["epochs"][0]["val_loss"]


def test_a_log_has_a_line_an_epoch(data, result, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("old")
    done = result("--data", data["labels"], "--log", path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, epoch in zip(lines, done["epochs"], strict=True):
        assert {name: line[name] for name in epoch} == epoch


def test_tensorboard_gets_an_event_file(data, result, tmp_path):
    pytest.importorskip("tensorboard", exc_type=ImportError)
    result("--data", data["labels"], "--tensorboard", tmp_path / "board")
    (events,) = (tmp_path / "board").iterdir()
    assert events.name.startswith("events.out.tfevents.")


# --- settings as text -----------------------------------------------------------------------------


def test_settings_are_read_as_their_class_types_them():
    assert create("sgd:momentum=0.9,nesterov=true", OPTIMIZERS) == fastmlp.SGD(
        momentum=0.9, nesterov=True
    )
    assert create("adam:betas=0.8/0.9,lr_multipliers=1/0.5", OPTIMIZERS) == fastmlp.Adam(
        betas=(0.8, 0.9), lr_multipliers=(1.0, 0.5)
    )
    assert create("sgd:lr_multipliers=none", OPTIMIZERS) == fastmlp.SGD()
    assert create("cosine:period=2,unit=step", SCHEDULES) == fastmlp.Cosine(period=2, unit="step")
    assert create("constant", SCHEDULES) == fastmlp.Constant()
    assert create("huber:delta=2", LOSSES) == fastmlp.Huber(2.0)
    text = "shift=2,erase_area=0.1/0.2,image_shape=2x3x4"
    assert create_of(fastmlp.Augmentation, text, image_shape=(1, 1)) == fastmlp.Augmentation(
        (2, 3, 4), shift=2, erase_area=(0.1, 0.2)
    )
    stopping = create_of(fastmlp.EarlyStopping, "patience=3,restore_best=false")
    assert (stopping.patience, stopping.restore_best) == (3, False)
    assert repr(create_of(fastmlp.EarlyStopping, "")) == repr(fastmlp.EarlyStopping())


def test_more_arguments_come_after_those_of_the_text():
    assert create("sgd:momentum=0.5", OPTIMIZERS, lr=2, momentum=0.9) == fastmlp.SGD(2, 0.5)


def test_the_classes_of_the_other_package_are_taken_by_name():
    assert create("adam:eps=1e-6", OPTIMIZERS, reference) == reference.Adam(eps=1e-6)
    made = create("step:size=2", SCHEDULES, reference)
    assert type(made).__module__ == "reference.schedules"


# --- wrong usage ----------------------------------------------------------------------------------

WRONG = {
    # options, on data with labels: what the line must hold
    "--optimizer sgd:momentum=2": ["--optimizer", "momentum", "below 1", "2"],
    "--optimizer sgd:momentum=fast": ["--optimizer", "momentum", "'fast'"],
    "--optimizer sgd:nesterov=true": ["--optimizer", "nesterov needs a momentum"],
    "--optimizer sgd:nesterov=yes": ["--optimizer", "nesterov", "'yes'", "True or False"],
    "--optimizer sgd:speed=1": ["--optimizer", "sgd has the keys momentum, nesterov,", "'speed'"],
    "--optimizer sgd:momentum": ["--optimizer", "key=value", "'momentum'"],
    "--optimizer sgd:": ["--optimizer", "sgd", "key=value"],
    "--optimizer sgd:momentum=0,momentum=0": ["--optimizer", "momentum twice"],
    "--optimizer sgd:lr=1": ["--optimizer", "lr has a flag of its own, --lr"],
    "--optimizer adam:weight_decay=1": ["--optimizer", "--weight-decay"],
    "--optimizer adamw:decoupled=true": ["--optimizer", "adamw", "'decoupled'"],
    "--optimizer adam:betas=0.9": ["--optimizer", "betas", "pair"],
    "--optimizer adam:eps=1e-60": ["--optimizer adam:eps=1e-60", "float32"],
    "--optimizer sgd:lr_multipliers=1/2/3": ["--optimizer", "lr_multipliers", "2 layers"],
    "--optimizer lbfgs --lr 1": ["--lr", "lbfgs"],
    "--optimizer lbfgs --dropout 0.1": ["LBFGS", "dropout"],
    "--optimizer lbfgs --profile": ["--profile", "lbfgs"],
    "--loss hinge": ["--loss", "'hinge'", "cross_entropy"],
    "--loss cross_entropy:delta=1": ["--loss", "'delta'", "label_smoothing"],
    "--loss squared_error:delta=1": ["--loss", "squared_error has no keys", "'delta'"],
    "--loss huber": ["--loss huber", "labels of 3 classes"],
    "--loss binary_cross_entropy": ["--loss", "2 classes", "3"],
    "--schedule steps": ["--schedule", "'steps'", "cosine"],
    "--schedule step": ["--schedule", "step needs size"],
    "--schedule step:size=0": ["--schedule", "size", "1 or more"],
    "--schedule cosine:warmup=3": ["--schedule cosine:warmup=3", "3 epochs"],
    "--schedule cosine:minimum=1": ["--schedule", "minimum", "learning rate, 0.2"],
    "--schedule plateau": ["--schedule plateau", "val_loss", "validation"],
    "--schedule one_cycle --epochs 0": ["one-cycle", "0"],
    "--averaging mean": ["--averaging", "'mean'", "ema, swa"],
    "--averaging ema:decay=1": ["--averaging", "decay", "below 1"],
    "--early-stopping patience=0,monitor=train_loss": ["--early-stopping", "patience", "0"],
    "--early-stopping 5": ["--early-stopping", "key=value", "'5'"],
    "--early-stopping patience=5": ["--early-stopping", "val_loss", "--val-fraction"],
    "--early-stopping monitor=f1 --val-fraction 0.2": ["--early-stopping", "f1", "metrics"],
    "--target-accuracy 0.9": ["--target-accuracy", "--val-fraction"],
    "--target-accuracy 90": ["--target-accuracy", "90", "at most 1"],
    "--max-seconds 0": ["--max-seconds", "above 0"],
    "--metrics f1": ["--metrics", "--val-fraction"],
    "--metrics f2": ["--metrics", "'f2'", "f1"],
    "--metrics r2 --val-fraction 0.2": ["--metrics", "r2", "f1"],
    "--metrics top_9 --val-fraction 0.2": ["--metrics", "top_9", "3"],
    "--augment shift=1": ["--augment", "image_shape="],
    "--augment shift=1,image_shape=3x3": ["--augment", "(3, 3)", "2"],
    "--augment shift=-1": ["--augment", "shift", "-1"],
    "--augment tilt=1": ["--augment", "'tilt'", "shear"],
    "--activation relu tanh": ["--activation", "1 hidden layers"],
    "--activation relu step": ["--activation", "'step'", "gelu"],
    "--norm group": ["--norm", "'group'", "none, layer, batch"],
    "--norm batch layer": ["--norm", "1 hidden layers"],
    "--norm batch --batch-size 1": ["--batch-size", "2 or more"],
    "--dropout 1": ["--dropout", "below 1"],
    "--dropout 0.1 0.2": ["--dropout", "1 hidden layers"],
    "--input-dropout x": ["--input-dropout", "'x'"],
    "--clip-norm 0": ["--clip-norm", "above 0"],
    "--clip-norm 1 --clip-value 1": ["--clip-norm", "--clip-value"],
    "--max-norm inf": ["--max-norm", "finite"],
    "--weight-decay -1": ["--weight-decay", "0 or more"],
    "--class-weight 1 2": ["--class-weight", "3", "2"],
    "--class-weight balanced 2": ["--class-weight", "balanced"],
    "--class-weight fair": ["--class-weight", "'fair'", "balanced"],
    "--checkpoint-every 2": ["--checkpoint-every", "--checkpoint DIR"],
    "--checkpoint x --engine reference": ["--checkpoint", "--engine fast"],
    "--resume x --config y": ["--resume", "--config"],
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_usage_is_status_2_and_one_line_before_training(data, command, options):
    done = command("--data", data["labels"], *SMALL, *options.split())
    assert_refused(done, 2, *WRONG[options])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("real", ["--loss", "cross_entropy"], ["--loss cross_entropy", "labels"]),
        ("real", ["--class-weight", "balanced"], ["--class-weight", "squared_error"]),
        ("real", ["--target-accuracy", 0.5, "--val-fraction", 0.2], ["--target-accuracy"]),
        ("real", ["--metrics", "f1", "--val-fraction", 0.2], ["--metrics", "f1", "r2"]),
        ("images", ["--augment", "image_shape=2x2"], ["--augment", "(2, 2)", "20"]),
    ],
)
def test_what_does_not_fit_the_data_is_wrong_usage(data, command, name, options, words):
    assert_refused(command("--data", data[name], *SMALL, *options), 2, *words)


def test_targets_that_the_loss_cannot_have_are_the_fault_of_the_file(data, command):
    done = command("--data", data["real"], *SMALL, "--loss", "poisson")
    assert_refused(done, 1, data["real"], "0 or more for poisson")


# --- a run from its own JSON ----------------------------------------------------------------------


def test_a_run_is_repeated_from_its_own_json(data, result, tmp_path):
    path = tmp_path / "run.json"
    first = result("--data", data["labels"], *RICH)
    path.write_text(json.dumps(first))
    status = fastmlp.train.main(["--config", str(path), "--quiet", "--json", str(path)])
    again = json.loads(path.read_text())
    assert status == 0
    for name in ("parameter_sha256", "config", "test_loss", "layers"):
        assert again[name] == first[name]


def test_the_json_holds_all_settings_but_outputs(data, result):
    config = result("--data", data["labels"], "--optimizer", "adam:eps=1e-6")["config"]
    outputs = {"save", "json", "log", "tensorboard", "report", "checkpoint", "resume", "profile"}
    outputs |= {"quiet", "distributed"}
    assert set(config) == set(FIELDS) - outputs
    assert config["data"] == data["labels"]
    assert config["loss"] == "cross_entropy"
    assert (config["optimizer"], config["lr"]) == ("adam:eps=1e-6", 0.001)
    assert config["hidden"] == [8]


def test_settings_come_back_from_json_as_they_were():
    config = TrainConfig(
        data="a.npz",
        hidden=(3, 4),
        activation=("relu", "tanh"),
        norm=("batch", None),
        dropout=(0.1, 0.0),
        class_weight=(1.0, 2.5),
        metrics=("f1",),
        batch_size="full",
        optimizer="adam:betas=0.5/0.75",
        schedule="cosine",
        clip_norm=1e-3,
        max_seconds=1e100,
        seed=2**70,
    )
    values = json.loads(json.dumps(config.recorded()))
    assert TrainConfig(**from_recorded(values)) == config
    plain = TrainConfig()
    assert TrainConfig(**from_recorded(json.loads(json.dumps(plain.recorded())))) == plain


def test_flags_win_over_the_file(data, result, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"seed": 3, "optimizer": "adam", "lr": 0.05, "activation": "tanh"}')
    own = {"--optimizer": "adam", "--lr": 0.05, "--activation": "tanh", "--seed": 4}
    options = ("--data", data["labels"])
    from_file = result(*options, "--config", path, "--seed", 4)
    given = result(*options, *(word for pair in own.items() for word in pair))
    assert from_file["parameter_sha256"] == given["parameter_sha256"]
    assert from_file["config"] == given["config"]


def test_another_optimizer_beside_the_file_brings_its_own_rate(data, result, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"optimizer": "adam", "lr": 0.05, "weight_decay": 0.5}')
    options = ("--data", data["labels"], "--config", path, "--optimizer")
    other, same = (result(*options, name)["config"] for name in ("adamw", "adam:eps=0.1"))
    assert (other["lr"], other["weight_decay"]) == (0.001, 0.01)
    assert (same["lr"], same["weight_decay"]) == (0.05, 0.5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["no JSON"]),
        ("{'seed': 1}", ["no JSON"]),
        ("\xff", ["no JSON"]),
        ("[" * 100_000, ["no JSON"]),
        ("[1]", ["JSON object", "[1]"]),
        ('{"config": 3}', ["JSON object", "3"]),
        ('{"sead": 1}', ["'sead'", "seed"]),
        ('{"save": "x"}', ["'save'"]),
        ('{"seed": "1"}', ["seed must be 1, not '1'"]),
        ('{"seed": 1.0}', ["seed", "integer"]),
        ('{"seed": true}', ["seed", "True"]),
        ('{"seed": null}', ["seed", "integer"]),
        ('{"seed": [1, 2]}', ["seed"]),
        ('{"seed": {"a": 1}}', ["seed"]),
        ('{"lr": -1}', ["lr", "0 or more", "-1"]),
        ('{"lr": NaN}', ["lr", "nan"]),
        ('{"hidden": 8}', ["hidden must be [8], not 8"]),
        ('{"hidden": [8.5]}', ["hidden", "integer"]),
        ('{"activation": []}', ["activation", "[]"]),
        ('{"data": 3}', ["data", "3"]),
        ('{"optimizer": "sdg"}', ["optimizer", "'sdg'", "sgd"]),
        ('{"optimizer": "adam:eps=1e-60"}', ["--optimizer", "float32"]),
    ],
)
def test_a_wrong_settings_file_is_wrong_usage(command, tmp_path, content, words):
    path = tmp_path / "wrong.json"
    path.write_bytes(content.encode("latin-1"))
    assert_refused(command("--config", path), 2, *words)


def test_a_missing_settings_file_is_one_line(command, tmp_path):
    path = tmp_path / "absent.json"
    assert_refused(command("--config", path), 1, f"{path}: No such file")


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.fixture
def interrupted(command, monkeypatch):
    """A run with checkpoints that Ctrl-C ends in the midst of an epoch."""

    def run(in_epoch, *options):
        with ctrl_c_in_epoch(in_epoch, monkeypatch):
            return command(*SMALL, "--quiet", *options)

    return run


CONTINUED = {
    "plain": "",
    "rich": " ".join(RICH),
    "adam, swa, plateau": """
        --optimizer adam --averaging swa:start_epoch=2 --schedule plateau:patience=0,factor=0.5
        --val-fraction 0.2 --norm batch --dropout 0.2
    """,
}


@pytest.mark.parametrize("options", CONTINUED)
def test_a_run_that_goes_on_ends_as_one_that_never_stopped(
    data, result, command, interrupted, tmp_path, options
):
    folder, log = tmp_path / "run", tmp_path / "log"
    options = ("--data", data["labels"], *CONTINUED[options].split(), "--epochs", 5)
    whole = result(*options)
    done = interrupted(4, *options, "--checkpoint", folder, "--log", log)
    newest = folder / "epoch-000000003.safetensors"
    assert_refused(done, 130, f"interrupted; the newest checkpoint is {newest}")
    status, out, err = command("--resume", folder, "--quiet", "--json", "-", "--log", log)
    assert (status, err) == (0, "")
    again = json.loads(out)
    for name in ("parameter_sha256", "test_loss", "config"):
        assert again[name] == whole[name]
    for ours, theirs in zip(again["epochs"], whole["epochs"], strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
    assert (folder / "epoch-000000005.safetensors").exists()
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3, 4, 5]


def test_ctrl_c_before_the_first_checkpoint_says_so(data, interrupted, tmp_path):
    model = tmp_path / "model"
    done = interrupted(
        1, "--data", data["labels"], "--checkpoint", tmp_path / "run", "--save", model
    )
    assert_refused(done, 130, f"the model so far is in {model}; there is no checkpoint yet")


def test_a_run_is_trained_longer(data, result, tmp_path):
    options = ("--data", data["labels"])
    whole = result(*options, "--epochs", 5)
    result(*options, "--checkpoint", tmp_path / "run")
    longer = result("--resume", tmp_path / "run", "--epochs", 5)
    assert longer["parameter_sha256"] == whole["parameter_sha256"]
    # The further settings are those of the next resumption.
    done = fastmlp.train.main(["--resume", str(tmp_path / "run"), "--quiet"])
    assert done == 0


def test_checkpoints_are_written_every_few_epochs_and_elsewhere(data, result, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    options = ("--data", data["labels"], "--epochs", 5)
    result(*options, "--checkpoint", one, "--checkpoint-every", 2)
    names = [path.name for path in sorted(one.iterdir())]
    assert names == ["config.json", *(f"epoch-{k:09}.safetensors" for k in (2, 4, 5))]
    result("--resume", one, "--epochs", 7, "--checkpoint", other)
    assert [path.name for path in sorted(one.iterdir())] == names
    assert sorted(path.name for path in other.iterdir())[-1] == "epoch-000000007.safetensors"


@pytest.fixture(scope="module")
def checkpoints(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    options = ["--data", data["labels"], *map(str, SMALL), "--quiet", "--checkpoint", str(folder)]
    assert fastmlp.train.main(options) == 0
    return folder


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--epochs 2", ["--epochs", "3 or more"]),
        ("--seed 1", ["--seed", "0", "as before, not 1"]),
        ("--batch-size 8", ["--batch-size", "16", "as before, not 8"]),
        ("--optimizer adam", ["--optimizer", "SGD", "Adam"]),
        ("--lr 0.1", ["--optimizer", "lr=0.2", "lr=0.1"]),
        ("--activation tanh", ["--activation", "relu", "as before, not tanh"]),
        ("--hidden 9", ["--hidden", "(2, 8, 3)", "(2, 9, 3)"]),
        ("--dtype float64", ["--dtype", "float32", "as before, not float64"]),
        ("--val-fraction 0.2", ["samples", "120"]),
        ("--profile", ["--profile", "--resume"]),
        ("--engine reference", ["--resume", "--engine fast"]),
    ],
)
def test_what_must_be_equal_to_go_on_is_wrong_usage(checkpoints, command, options, words):
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    assert_refused(command("--resume", checkpoints, *SMALL, *options.split()), 2, *words)
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


def test_a_folder_of_another_run_is_not_written_to(checkpoints, data, command):
    done = command("--data", data["labels"], *SMALL, "--checkpoint", checkpoints)
    assert_refused(done, 2, str(checkpoints), "another run")


@pytest.mark.parametrize("place", ["absent", "empty", "file"])
def test_a_folder_without_checkpoints_is_one_line(command, tmp_path, place):
    folder = tmp_path / "run"
    if place == "file":
        folder.touch()
    elif place != "absent":
        folder.mkdir()
    assert_refused(command("--resume", folder), 1, str(folder), "checkpoint")


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(
    checkpoints, command, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_bytes((checkpoints / "config.json").read_bytes())
    status, _, err = command("--resume", folder)
    assert status == 0
    assert "holds the settings of a run and no checkpoint yet: it begins anew" in err
    whole, again = (fastmlp.load_checkpoint(f).state.arrays for f in (checkpoints, folder))
    for name, array in whole.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    "flags",
    [
        ("--checkpoint", "--save"),
        ("--checkpoint", "--json"),
        ("--tensorboard", "--log"),
        ("--checkpoint", "--tensorboard"),
    ],
    ids=" ".join,
)
def test_no_two_outputs_have_one_place(data, command, tmp_path, flags):
    place = tmp_path / "place"
    done = command("--data", data["labels"], flags[0], place, flags[1], place)
    assert_refused(done, 2, "must be different", *flags)
    assert not place.exists()


@pytest.mark.parametrize("flag", ["--checkpoint", "--augment", "--early-stopping", "--save"])
def test_an_empty_text_is_refused(data, command, flag):
    assert_refused(command("--data", data["labels"], f"{flag}="), 2, flag, "empty")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_what_was_learned_before_a_full_disk_is_saved(data, command, tmp_path):
    path = tmp_path / "model.safetensors"
    status, _, err = command("--data", data["labels"], "--log", "/dev/full", "--save", path)
    assert status == 1
    assert "/dev/full: No space left on device" in err
    assert fastmlp.load(path).layers[-1] == 3


def copy_damaged(source, target, damaged):
    target.mkdir()
    for path in source.iterdir():
        content = path.read_bytes()
        (target / path.name).write_bytes(content[:-3] if path.name in damaged else content)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(checkpoints, command, tmp_path):
    folder = tmp_path / "run"
    copy_damaged(checkpoints, folder, {"epoch-000000003.safetensors"})
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        status, _, err = command("--resume", folder, "--json", "-")
    assert status == 0
    warning, epoch = err.splitlines()
    assert warning.startswith("fastmlp.train: warning: ")
    assert "epoch-000000003.safetensors is damaged" in warning
    assert epoch.startswith("epoch 3/3")
    good = fastmlp.load_checkpoint(checkpoints).state.arrays
    again = fastmlp.load_checkpoint(folder).state.arrays
    for name, array in good.items():
        np.testing.assert_array_equal(again[name], array)


def test_only_damaged_checkpoints_are_one_line(checkpoints, command, tmp_path):
    folder = tmp_path / "run"
    copy_damaged(checkpoints, folder, {path.name for path in checkpoints.glob("epoch-*")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_refused(command("--resume", folder), 1, "--resume", str(folder), "damaged")


def test_an_output_is_not_written_over_another(data, command, tmp_path):
    path = tmp_path / "out"
    done = command("--data", data["labels"], "--log", path, "--save", path)
    assert_refused(done, 2, "--save", "--log", str(path))
    done = command("--data", data["labels"], "--log", Path(data["labels"]))
    assert_refused(done, 2, "--log", "--data")
