"""A bound predictor gives the model's own answers, from any thread, into any array."""

import copy
import gc
import pickle
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastmlp
from tests.equality import problem

LAYERS = [50, 33, 10]


def model_and_input(n=700, dtype="float32"):
    return fastmlp.MLP(LAYERS, dtype=dtype), problem(LAYERS, n, dtype)[0]


def living_threads():
    return [t for t in threading.enumerate() if t.name.startswith("fastmlp-")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 7, 256, 10_000])
@pytest.mark.parametrize("rows", [1, 2, 7, 300, 700])
def test_any_batch_size_gives_the_same_bits(rows, batch_size, dtype):
    model, x = model_and_input(rows, dtype)
    with model.predictor(batch_size=batch_size) as predictor:
        for _ in range(2):
            np.testing.assert_array_equal(predictor.predict_proba(x), model.predict_proba(x))
            np.testing.assert_array_equal(predictor.logits(x), model.logits(x))
            np.testing.assert_array_equal(predictor.predict(x), model.predict(x))


def test_it_is_the_reference_s_answer():
    import reference

    model, x = model_and_input()
    expected = reference.MLP(LAYERS).predict_proba(x)
    for rows in (1, 3, len(x)):
        actual = model.predictor().predict_proba(x[:rows])
        np.testing.assert_allclose(actual, expected[:rows], rtol=1e-5, atol=1e-7)


def test_rows_of_every_kind_agree():
    model, _ = model_and_input()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 50)).astype(np.uint8)
    scaled = pixels * np.float32(1 / 255)
    predictor = model.predictor(batch_size=8)
    expected = predictor.predict_proba(scaled)
    for x in (
        pixels,
        np.asfortranarray(scaled),
        scaled.astype(np.float64),
        np.repeat(scaled, 2, axis=0)[::2],
        scaled.tolist(),
    ):
        np.testing.assert_allclose(predictor.predict_proba(x), expected, rtol=1e-6)
    readonly = scaled.copy()
    readonly.flags.writeable = False
    np.testing.assert_array_equal(predictor.predict_proba(readonly), expected)


@pytest.mark.parametrize("of", [lambda model: model, lambda model: model.predictor()])
@pytest.mark.parametrize("rows", [1, 700])
def test_the_result_goes_into_the_array_that_is_given(rows, of):
    model, x = model_and_input(rows)
    predicting = of(model)
    for method in ("predict_proba", "logits"):
        expected = getattr(model, method)(x)
        out = np.full((rows, 10), np.nan, np.float32)
        assert getattr(predicting, method)(x, out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("of", [lambda model: model, lambda model: model.predictor(batch_size=1)])
@pytest.mark.parametrize("method", ["predict_proba", "logits"])
@pytest.mark.parametrize(("rows", "most"), [(1, 600), (10_000, 16_000)])
def test_given_out_a_prediction_allocates_no_arrays(rows, most, method, of, monkeypatch):
    """What is left are Python's own objects, those of threads too; a result were 40 bytes a row."""
    monkeypatch.setenv("FASTMLP_NUM_THREADS", "2")
    model, x = model_and_input(rows)
    predict = getattr(of(model), method)
    out = np.empty((rows, 10), np.float32)
    for _ in range(3):
        predict(x, out)
    gc.collect()
    tracemalloc.start()
    try:
        predict(x, out)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(20):
            predict(x, out=out)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < most
    assert after - before < 4_000


def test_many_rows_are_done_in_pieces_with_the_same_bits(monkeypatch):
    model, x = model_and_input()
    expected = model.logits(x)
    monkeypatch.setattr("fastmlp.engine.engine.KEPT_ORDER", 300)
    for rows in (100, 299, 300, 301, 600, 700):
        np.testing.assert_array_equal(model.predictor().logits(x[:rows]), expected[:rows])
    x[650, 3] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite .* \[650, 3\]"):
        model.logits(x)


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ([[0.0] * 10], TypeError),
        (np.zeros((2, 10), np.float32), ValueError),
        (np.zeros((1, 10)), ValueError),
        (np.zeros((1, 20), np.float32)[:, ::2], ValueError),
        (np.zeros(10, np.float32), ValueError),
    ],
    ids=["a list", "rows", "dtype", "strides", "one axis"],
)
def test_a_wrong_out_is_named(out, error):
    model, x = model_and_input(1)
    with pytest.raises(error, match=r"^out must "):
        model.predictor().predict_proba(x, out)
    with pytest.raises(error, match=r"^out must "):
        model.predict_proba(x, out)
    locked = np.zeros((1, 10), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out must "):
        model.predictor().logits(x, locked)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 600])
def test_what_is_not_finite_is_named_and_does_no_harm(rows, value):
    model, x = model_and_input(rows)
    expected = model.predict_proba(x)
    wrong = x.copy()
    wrong[-1, 49] = value
    predictor = model.predictor()
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"x must be finite .* \[{rows - 1}, 49\]"):
            predictor.predict_proba(wrong)
        np.testing.assert_array_equal(predictor.predict_proba(x), expected)
    with pytest.raises(ValueError, match="x must be finite in float32"):
        model.predict(np.full((1, 50), 1e39))


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "8", None, True])
def test_a_wrong_batch_size_is_named(wrong):
    with pytest.raises((TypeError, ValueError), match="batch_size must be an integer, 1 or more"):
        model_and_input()[0].predictor(batch_size=wrong)


@pytest.mark.parametrize("wrong", [0, 257, "2"])
def test_a_wrong_thread_count_is_named(wrong):
    with pytest.raises((TypeError, ValueError), match="threads must be an integer from 1 to 256"):
        model_and_input()[0].predictor(threads=wrong)


def test_a_change_of_the_weights_is_seen_by_the_next_call():
    model, x = model_and_input(3)
    predictor = model.predictor(batch_size=3)
    before = predictor.logits(x).copy()
    model.weights[0][...] *= 2
    np.testing.assert_array_equal(predictor.logits(x), model.logits(x))
    assert (predictor.logits(x) != before).any()


def test_four_threads_at_once_get_their_own_answers():
    model, x = model_and_input(400)
    expected = model.predict_proba(x)
    predictor = model.predictor(batch_size=16)
    wrong = []

    def serve(k):
        for i in range(k, 400, 4):
            if (predictor.predict_proba(x[i : i + 1]) != expected[i]).any():
                wrong.append(i)

    threads = [threading.Thread(target=serve, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("of", [lambda model: model, lambda model: model.predictor()])
def test_eight_threads_at_once_predict_any_number_of_rows_as_one_does(of):
    """Small inputs in the threads themselves, large ones each on a team."""
    model, x = model_and_input(3000)
    expected = model.predict_proba(x)
    predicting = of(model)

    def serve(thread):
        rng = np.random.default_rng(thread)
        for count in rng.choice([1, 2, 60, 257, 1500], 40):
            begin = rng.integers(0, 3000 - count)
            part = slice(begin, begin + count)
            out = np.empty((count, 10), np.float32)
            np.testing.assert_array_equal(predicting.predict_proba(x[part], out), expected[part])
            labels = predicting.predict(x[part])
            np.testing.assert_array_equal(labels, expected[part].argmax(axis=1))
        return 40

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(serve, range(8), timeout=300)) == 320


def test_threads_stay_until_closed_and_start_again(monkeypatch):
    monkeypatch.setattr("fastmlp.predictor.PRODUCTS_PER_THREAD", 1)
    model, x = model_and_input(600)
    expected = model.predict_proba(x)
    assert not living_threads()
    predictor = model.predictor(threads=2)
    for _ in range(2):
        np.testing.assert_array_equal(predictor.predict_proba(x), expected)
        assert len(living_threads()) == 2
        predictor.close()
        assert not living_threads()
    predictor.predict_proba(x)
    del predictor
    assert not living_threads()


def test_a_copy_predicts_with_its_own_weights():
    model, x = model_and_input(2)
    before = model.predict_proba(x)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict_proba(x), before)
        other.weights[0][...] = 0
        assert (other.predict_proba(x) != before).any()
        np.testing.assert_array_equal(model.predict_proba(x), before)


def test_small_inputs_leave_what_the_team_has_learned_of_waiting(monkeypatch):
    from fastmlp.kernels.sync import LONG_YIELD, PATIENCE, SPINS

    monkeypatch.setattr("fastmlp.engine.engine.available_cores", lambda: 2)
    model, x = model_and_input(1)
    predictor = model.predictor(threads=2)
    for _ in range(2):
        predictor.predict_proba(x)
        with pytest.raises(ValueError, match="finite"):
            predictor.predict_proba(np.full_like(x, np.nan))
    cells = predictor._engines[0].team.cells
    assert cells[PATIENCE] == SPINS
    assert cells[LONG_YIELD] > 0


def test_a_predictor_keeps_nothing_of_what_it_was_given_alive():
    model = fastmlp.MLP([20, 5, 3])
    predictor = model.predictor()
    for rows in (3, 1000):
        x, out = np.ones((rows, 20), np.float32), np.empty((rows, 3), np.float32)
        kept = weakref.ref(x), weakref.ref(out)
        predictor.predict_proba(x, out=out)
        del x, out
        gc.collect()
        assert [reference() for reference in kept] == [None, None]


def test_out_may_overlap_the_input():
    model = fastmlp.MLP([20, 20])
    y = np.random.default_rng(0).standard_normal((6000, 20)).astype(np.float32)
    expected = model.logits(y[:5000])
    np.testing.assert_array_equal(model.predictor().logits(y[:5000], out=y[100:5100]), expected)
