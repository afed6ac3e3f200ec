"""`find_learning_rate`: which steps it takes, where it ends, and what it suggests."""

import math
import sys

import numpy as np
import pytest
from scipy import sparse

import fastmlp

LAYERS = [8, 6, 3]


class Spy(fastmlp.Trainer):
    """A trainer that lists its steps, and whose losses a test may set."""

    made: list["Spy"]
    scripted = None

    def __init__(self, model, optimizer=None, *, seed=0, threads=None):
        super().__init__(model, optimizer, seed=seed, threads=threads)
        self.settings = optimizer, seed, threads
        self.seen = []
        self.is_open = False
        self.made.append(self)

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *error):
        self.is_open = False
        super().__exit__(*error)

    def step(self, x, y, *, sample_weight=None, class_weight=None, lr=None):
        assert self.is_open
        self.seen.append((x, y, sample_weight, lr))
        if self.scripted is None:
            return super().step(x, y, sample_weight=sample_weight, class_weight=class_weight, lr=lr)
        loss = self.scripted(lr)
        if not math.isfinite(loss):
            raise FloatingPointError("the loss is not finite")
        return fastmlp.Evaluation(loss, 0.0)


@pytest.fixture(autouse=True)
def trainers(monkeypatch):
    """The trainers that a test has made."""
    monkeypatch.setattr(Spy, "made", [], raising=False)
    monkeypatch.setattr("fastmlp.find_rate.Trainer", Spy)
    return Spy.made


@pytest.fixture
def scripted(monkeypatch):
    """A function that sets the loss at each rate, whatever the data are."""

    def script(loss_at):
        monkeypatch.setattr(Spy, "scripted", staticmethod(loss_at))

    return script


def problem(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 8)).astype(np.float32)
    return x, (x @ rng.standard_normal((8, 3))).argmax(axis=1)


def find(x=None, y=None, **settings):
    if x is None:
        x, y = problem()
    return fastmlp.find_learning_rate(fastmlp.MLP(LAYERS, seed=1), x, y, threads=1, **settings)


# --- the steps ------------------------------------------------------------------------------------


def test_rates_rise_in_a_geometric_row_from_the_lowest_to_the_highest(scripted, trainers):
    scripted(lambda rate: 1.0)
    curve = find(lowest=1e-4, highest=1.0, steps=9)
    np.testing.assert_allclose(curve.rates, 10.0 ** np.linspace(-4, 0, 9), rtol=1e-12)
    assert [lr for *_, lr in trainers[0].seen] == curve.rates.tolist()
    np.testing.assert_array_equal(curve.losses, np.ones(9))
    np.testing.assert_allclose(curve.smoothed, np.ones(9), rtol=1e-12)


def test_the_model_is_not_changed_and_a_copy_of_it_is_trained(trainers):
    model = fastmlp.MLP(LAYERS, seed=1)
    before = model.parameters.copy()
    optimizer = fastmlp.SGD(lr=123.0)
    x, y = problem()
    fastmlp.find_learning_rate(model, x, y, optimizer=optimizer, seed=5, threads=2)
    np.testing.assert_array_equal(model.parameters, before)
    (trainer,) = trainers
    assert trainer.model is not model
    assert (trainer.model.parameters != before).any()
    assert trainer.settings == (optimizer, 5, 2)
    assert not trainer.is_open


def test_batches_are_the_full_ones_of_fit_epoch_by_epoch(scripted, trainers):
    scripted(lambda rate: 1.0)
    x, y = problem(n=10)
    weight = np.arange(1.0, 11.0)
    find(x, y, steps=5, batch_size=4, seed=3, sample_weight=weight)
    orders = [np.random.default_rng((3, epoch)).permutation(10) for epoch in (1, 2, 3)]
    rows = [order[start : start + 4] for order in orders for start in (0, 4)][:5]
    assert len(trainers[0].seen) == 5
    for (x_step, y_step, weight_step, _), batch in zip(trainers[0].seen, rows, strict=True):
        np.testing.assert_array_equal(x_step, x[batch])
        np.testing.assert_array_equal(y_step, y[batch])
        np.testing.assert_array_equal(weight_step, weight[batch])


def test_a_data_set_smaller_than_a_batch_is_the_batch(scripted, trainers):
    scripted(lambda rate: 1.0)
    x, y = problem(n=10)
    find(x, y, steps=3)
    for x_step, y_step, weight, _ in trainers[0].seen:
        assert (len(x_step), len(y_step), weight) == (10, 10, None)


def test_every_form_of_input_gives_the_same_curve():
    x, y = problem()
    expected = find(x, y)
    for form in (x.astype(np.float64), x.tolist(), sparse.csr_array(x)):
        curve = find(form, y.tolist())
        np.testing.assert_array_equal(curve.rates, expected.rates)
        np.testing.assert_allclose(curve.losses, expected.losses, rtol=1e-4)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8), dtype=np.uint8)
    curve, scaled = find(pixels, y), find(pixels.astype(np.float32) / 255, y)
    np.testing.assert_allclose(curve.losses, scaled.losses, rtol=1e-4)


# --- where it ends --------------------------------------------------------------------------------


def test_the_smoothed_loss_is_the_exponential_mean_of_all_before(scripted):
    losses = np.random.default_rng(0).uniform(1, 2, 30)
    rest = iter(losses)
    scripted(lambda rate: next(rest))
    curve = find(steps=30)
    for k in range(30):
        weights = 0.9 ** np.arange(k, -1, -1)
        expected = np.average(losses[: k + 1], weights=weights)
        assert curve.smoothed[k] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("base", [1.0, -1.0])
def test_it_ends_where_the_smoothed_loss_has_exploded(scripted, base):
    """Past four times a positive best; past the same distance from a negative one."""
    scripted(lambda rate: base if rate < 0.1 else 1000.0)
    curve = find(lowest=1e-3, highest=10.0, steps=81)
    assert curve.losses[-1] == 1000.0
    assert (curve.losses[:-1] == base).all()
    assert curve.smoothed[-1] > base + 3 * abs(base)
    gentle = base + 2.9 * abs(base)
    scripted(lambda rate: base if rate < 0.1 else gentle)
    assert len(find(lowest=1e-3, highest=10.0, steps=81).rates) == 81


def test_it_ends_where_the_loss_is_not_finite(scripted, trainers):
    scripted(lambda rate: 1.0 if rate < 0.1 else math.nan)
    curve = find(lowest=1e-3, highest=10.0, steps=41)
    assert len(curve.rates) == len(curve.losses) == len(curve.smoothed) < 41
    assert curve.rates[-1] < 0.1 <= trainers[0].seen[-1][-1]
    assert np.isfinite(curve.losses).all()
    assert not trainers[0].is_open


def test_a_loss_that_is_not_finite_from_the_start_is_the_callers(scripted):
    scripted(lambda rate: math.nan)
    with pytest.raises(FloatingPointError):
        find()


# --- what it suggests -----------------------------------------------------------------------------


def test_the_suggestion_is_where_the_smoothed_loss_falls_most_steeply(scripted):
    # Falls from 2 to 1 around 0.01, and rises from 1 on.
    scripted(lambda rate: 1 + 1 / (1 + (rate / 0.01) ** 2) + (rate > 1) * rate)
    curve = find(lowest=1e-5, highest=10.0, steps=241)
    least = curve.smoothed.argmin()
    slopes = np.diff(curve.smoothed[: least + 1])
    steepest = int(slopes.argmin())
    assert curve.rates[steepest] <= curve.suggestion <= curve.rates[steepest + 1]
    assert 0.01 < curve.suggestion < 0.03  # the smoothed loss is some steps late
    assert curve.suggestion in curve.rates


def test_noise_of_the_first_losses_is_not_taken_for_a_descent(scripted):
    def loss(rate):
        return 3.0 if rate < 1.05e-5 else 2 - 1 / (1 + (0.01 / rate))

    scripted(loss)
    curve = find(lowest=1e-5, highest=1.0, steps=101)
    assert np.diff(curve.smoothed).argmin() == 0  # the steepest of all
    assert curve.suggestion > 1e-3


@pytest.mark.parametrize("loss", [lambda rate: 1.0 + rate, lambda rate: 1.1])
def test_there_is_none_where_the_loss_never_falls(scripted, loss):
    scripted(loss)
    curve = find(steps=30)
    assert curve.suggestion is None


def test_a_network_learns_at_the_suggested_rate():
    data = fastmlp.load_dataset("digits")
    x, y = data.x_train, data.y_train
    curve = fastmlp.find_learning_rate(fastmlp.MLP([64, 32, 10]), x, y, threads=1)
    assert curve.smoothed[-1] > 1.5 * curve.smoothed.min()  # the highest rates are too high
    assert 0.05 < curve.suggestion < 2
    losses = []
    for rate in (curve.suggestion, curve.suggestion / 30):
        model = fastmlp.MLP([64, 32, 10])
        history = fastmlp.fit(model, x, y, epochs=2, optimizer=fastmlp.SGD(lr=rate), threads=1)
        losses.append(history.epochs[-1].train_loss)
    assert losses[0] < losses[1] / 2


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"lowest": 0}, ValueError),
        ({"lowest": -1.0}, ValueError),
        ({"lowest": 1.0, "highest": 1.0}, ValueError),
        ({"lowest": math.nan}, ValueError),
        ({"highest": math.inf}, ValueError),
        ({"highest": "1"}, TypeError),
        ({"steps": 1}, ValueError),
        ({"steps": 10.0}, TypeError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": "full"}, TypeError),
        ({"seed": -1}, ValueError),
        ({"sample_weight": [1.0, 2.0]}, ValueError),
    ],
)
def test_wrong_arguments_are_refused_in_one_line_before_any_step(settings, error, trainers):
    name = next(iter(settings)) if "sample_weight" not in settings else "sample_weight"
    with pytest.raises(error, match=name) as caught:
        find(**settings)
    assert "\n" not in str(caught.value)
    assert not trainers


def test_wrong_data_and_models_are_refused(trainers):
    x, y = problem()
    with pytest.raises(ValueError, match=r"^x has 7 features"):
        find(x[:, :7], y)
    with pytest.raises(ValueError, match=r"^y has 299 labels for 300 samples"):
        find(x, y[:-1])
    with pytest.raises(TypeError, match=r"^model must be a fastmlp\.MLP"):
        fastmlp.find_learning_rate("model", x, y)
    assert not trainers


# --- the picture ----------------------------------------------------------------------------------


@pytest.fixture
def curve():
    rates = np.geomspace(1e-4, 1, 30)
    smoothed = 1 + (np.log10(rates) + 1) ** 2
    return fastmlp.RateCurve(rates, smoothed + 0.1, smoothed, float(rates[12]))


def test_the_picture_shows_the_suggestion_on_a_logarithmic_axis(curve, tmp_path):
    pytest.importorskip("matplotlib")
    curve.plot(tmp_path / "curve.svg")
    curve.plot(str(tmp_path / "curve.png"))
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "curve.svg").read_text()
    assert "learning rate" in text
    assert f"steepest: {curve.suggestion:.2g}" in text
    assert "mathdefault{10^{-3}}" in text


def test_there_is_a_picture_without_a_suggestion_and_of_a_single_step(tmp_path):
    pytest.importorskip("matplotlib")
    one = np.ones(1)
    fastmlp.RateCurve(one, one, one, None).plot(tmp_path / "curve.svg")
    text = (tmp_path / "curve.svg").read_text()
    assert "loss of a step" in text
    assert "steepest" not in text


def test_a_picture_that_cannot_be_written_is_refused(curve, tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=r"^path: .* is no folder"):
        curve.plot(tmp_path / "nowhere" / "curve.png")
    with pytest.raises(ValueError, match="curve"):
        curve.plot(tmp_path / "a.curve")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_one_line_says_what_to_install(curve, tmp_path, monkeypatch):
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[report\]'") as caught:
        curve.plot(tmp_path / "curve.png")
    assert "\n" not in str(caught.value)
