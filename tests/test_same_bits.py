"""Results are the same bits at any thread count, whatever lies in scratch memory."""

from itertools import pairwise

import numpy as np
import pytest

import fastmlp
from fastmlp.engine.engine import Engine
from fastmlp.engine.plan import CHUNK_ROWS
from tests.equality import problem, sparse_problem
from tests.features import FEATURES, build

LAYERS = [50, 33, 17, 10]


SGD, ADAM = fastmlp.SGD(), fastmlp.Adam()
each_optimizer = pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["SGD", "Adam"])


def trained(threads, batch_size, dtype="float32", n=300, optimizer=SGD):
    model = fastmlp.MLP(LAYERS, dtype=dtype)
    x, y = problem(LAYERS, n, dtype)
    history = fastmlp.fit(
        model, x, y, epochs=2, batch_size=batch_size, threads=threads, optimizer=optimizer
    )
    return model, [epoch.train_loss for epoch in history.epochs]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, 100, "full"])
@pytest.mark.parametrize("threads", [2, 3, 5, 8])
def test_training_at_any_thread_count(threads, batch_size, dtype):
    expected, expected_losses = trained(1, batch_size, dtype)
    model, losses = trained(threads, batch_size, dtype)
    np.testing.assert_array_equal(model.parameters, expected.parameters)
    assert losses == expected_losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, 100, "full"])
@pytest.mark.parametrize("threads", [2, 3])
def test_adam_at_any_thread_count(threads, batch_size, dtype):
    expected, expected_losses = trained(1, batch_size, dtype, optimizer=ADAM)
    model, losses = trained(threads, batch_size, dtype, optimizer=ADAM)
    np.testing.assert_array_equal(model.parameters, expected.parameters)
    assert losses == expected_losses
    other, _ = trained(threads, batch_size, dtype)
    assert not np.array_equal(model.parameters, other.parameters)


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_at_any_thread_count(feature):
    results = []
    for threads in (1, 2, 5):
        model, x, y, settings = build(fastmlp, feature, "float32")
        history = fastmlp.fit(model, x, y, threads=threads, **settings)
        results.append((model.parameters, [record.train_loss for record in history.epochs]))
    for parameters, losses in results[1:]:
        np.testing.assert_array_equal(parameters, results[0][0])
        assert losses == results[0][1]


@each_optimizer
@pytest.mark.parametrize("threads", [2, 3])
def test_batches_beyond_the_workspace_at_any_thread_count(threads, optimizer):
    n = 2 * CHUNK_ROWS + 37
    expected, expected_losses = trained(1, "full", n=n, optimizer=optimizer)
    model, losses = trained(threads, "full", n=n, optimizer=optimizer)
    np.testing.assert_array_equal(model.parameters, expected.parameters)
    assert losses == expected_losses


@pytest.mark.parametrize("threads", [2, 3, 40])
def test_evaluation_prediction_and_gradients_at_any_thread_count(threads, monkeypatch):
    model = fastmlp.MLP(LAYERS)
    x, y = problem(LAYERS, 700, "float32")
    assert fastmlp.evaluate(model, x, y, threads=threads) == fastmlp.evaluate(
        model, x, y, threads=1
    )
    ours = fastmlp.loss_and_gradients(model, x, y, threads=threads)
    expected = fastmlp.loss_and_gradients(model, x, y, threads=1)
    assert ours.loss == expected.loss
    for a, b in zip(ours.weights + ours.biases, expected.weights + expected.biases, strict=True):
        np.testing.assert_array_equal(a, b)
    logits = model.logits(x)
    monkeypatch.setattr("fastmlp.predictor.PRODUCTS_PER_THREAD", 1)
    np.testing.assert_array_equal(model.predictor(threads=threads).logits(x), logits)


@each_optimizer
def test_the_cut_of_a_batch_into_chunks_changes_no_bit(monkeypatch, optimizer):
    whole, losses = trained(2, 300, optimizer=optimizer)
    monkeypatch.setattr("fastmlp.engine.plan.CHUNK_ROWS", 64)
    cut, cut_losses = trained(2, 300, optimizer=optimizer)
    np.testing.assert_array_equal(whole.parameters, cut.parameters)
    assert losses == cut_losses


@pytest.mark.parametrize("batch_size", [10, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poisoned_scratch_changes_no_bit(dtype, batch_size):
    from fastmlp.arguments import labelled

    results = []
    for poison in (0x00, 0xFF):  # zeros, and NaN
        model = fastmlp.MLP(LAYERS, dtype=dtype)
        data = labelled(model, *problem(LAYERS, 50, dtype))
        with Engine(model, 16, 2, fastmlp.SGD()) as engine:
            engine._need_gradients()
            buffers = engine.workspace.buffers
            scratch = ("work", "scratch", "squares", "row_masks", "column_masks", "scores")
            for buffer in (*(buffers[name] for name in scratch), engine.gradients):
                buffer.view(np.uint8)[...] = poison
            order = np.arange(50)[::-1].copy()
            totals = engine.train(*data, order, batch_size, np.array([0.1]))
            results.append((model.parameters.copy(), totals, engine.score(*data)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1:] == results[1][1:]
    assert np.isfinite(results[0][0]).all()


@each_optimizer
def test_the_padding_of_parameters_stays_zero(optimizer):
    model, _ = trained(2, 32, optimizer=optimizer)
    for place in model.places:
        rows = model.parameters[place.W : place.W + place.rows * place.stride]
        assert not rows.reshape(-1, place.stride)[:, place.n_out :].any()


@each_optimizer
def test_repeated_runs_are_the_same_bits(optimizer):
    first, _ = trained(2, 32, optimizer=optimizer)
    second, _ = trained(2, 32, optimizer=optimizer)
    np.testing.assert_array_equal(first.parameters, second.parameters)


def test_another_seed_gives_another_result():
    x, y = problem(LAYERS, 100, "float32")
    parameters = []
    for seed in (0, 1):
        model = fastmlp.MLP(LAYERS, seed=0)
        fastmlp.fit(model, x, y, epochs=1, batch_size=10, seed=seed)
        parameters.append(model.parameters)
    assert not np.array_equal(*parameters)


@each_optimizer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 33, 100, "full"])
def test_following_the_masks_changes_no_bit(batch_size, dtype, optimizer, monkeypatch):
    """Masked always, masked never, and on several threads: the same parameters."""
    layers = [200, 100, 4]
    x, y = sparse_problem(layers, 250, dtype, 0.2)
    results, masked = [], []
    for percent, rows, threads in [
        (101, 1, 1),
        (0, 1, 1),
        (101, 1, 2),
        (101, 50, 2),  # in dW not by short batches
        (101, 1, 3),
        (0, 1, 3),
    ]:
        masked_from = percent, rows
        monkeypatch.setattr("fastmlp.engine.plan._masked_from", lambda *_, m=masked_from: m)
        model = fastmlp.MLP(layers, dtype=dtype)
        fastmlp.fit(
            model, x, y, epochs=2, batch_size=batch_size, threads=threads, optimizer=optimizer
        )
        results.append(model.parameters)
        with Engine(model, 16, 1) as engine:
            masked.append(int(engine.workspace.layers["masked_percent"][0]))
    assert masked == [101, 0, 101, 101, 101, 0]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_shares_of_the_first_layer_follow_the_non_zeros_and_cover_it(threads):
    from fastmlp.arguments import labelled
    from fastmlp.engine.step import ROW_COST

    layers = [100, 40, 5]
    x, y = problem(layers, 64, "float32")
    x[:, 20:] = 0
    results = []
    for count in (1, threads):
        model = fastmlp.MLP(layers)
        data = labelled(model, x, y)
        with Engine(model, 16, count, fastmlp.SGD()) as engine:
            engine.train(*data, np.arange(64), 16, np.array([0.1]))
            shares = engine.workspace.buffers["shares"]
        results.append(model.parameters)
    np.testing.assert_array_equal(results[0], results[1])
    assert shares[0] == 0
    assert shares[-1] == 100
    assert (np.diff(shares) >= 0).all()
    # A share is too large by at most one unit of rows.
    cost = ROW_COST + 16 * (np.arange(100) < 20)
    most = max(cost[a:b].sum() for a, b in pairwise(shares))
    assert most <= cost.sum() / threads + 8 * cost.max()
    if threads == 2:
        assert shares[1] < 50 - 8
