"""Each kernel equals its naive twin in NumPy or plain Python."""

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.engine.access import share
from fastmlp.engine.layout import aligned_zeros, parameter_layout, parameter_views, row_stride
from fastmlp.kernels import activations, dropout, gather, losses, simd, updates
from fastmlp.kernels.calls import (
    address,
    call_epilogue,
    call_gather,
    call_head,
    call_product,
    epilogue_arguments,
    gather_arguments,
    head_arguments,
    product_arguments,
)
from fastmlp.kernels.masks import mark_row, transpose_masks
from fastmlp.kernels.product import SCRATCH_BYTES, product
from fastmlp.kernels.simd import JIT, exp, lanes, load, store
from fastmlp.kernels.target import TARGET
from fastmlp.kernels.tile import MASK_BITS, TILE_ROWS
from fastmlp.kernels.transpose import transpose
from tests.jitted import jitted

DTYPES = ["float32", "float64"]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def padded(values, fill=np.nan):
    """``values`` in a buffer whose rows are padded as the engine's are; the padding is ``fill``."""
    rows, columns = values.shape
    stride = row_stride(columns, values.dtype)
    buffer = aligned_zeros(rows * stride, values.dtype).reshape(rows, stride)
    buffer[...] = fill
    buffer[:, :columns] = values
    return as_view(buffer)[:, :columns]


def as_view(A):
    """A as the engine passes matrices: a view of free strides."""
    return np.lib.stride_tricks.as_strided(A, A.shape, A.strides)


@jitted
def run_epilogue(kernel, T, D, M, h):
    call_epilogue(kernel, T, D, M, h)


@jitted
def run_product(kernel, A, masks, B, S, D, M, h, T, epilogue, skip):
    call_product(kernel, A, masks, B, S, D, M, h, T, epilogue, skip)


@jitted
def run_head(kernel, Z, labels, targets, weights, order, first, D, scores, options, scale):
    call_head(kernel, Z, labels, targets, weights, order, first, D, scores, options, scale)


@jitted
def run_gather(kernel, source, order, first, X, masks, found, scale):
    call_gather(kernel, source, order, first, X, masks, found, scale)


@jitted
def call_share(items, unit, thread, threads):
    return share(items, unit, thread, threads)


@jitted
def apply_exp(x, out):
    for j in range(0, x.shape[1], lanes(x)):
        store(out, 0, j, exp(load(x, 0, j)))


def random(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_is_within_one_unit_in_the_last_place(dtype):
    limit = 87 if dtype == "float32" else 708
    x = np.linspace(-limit, limit, 64 * 4001, dtype=dtype)[None]
    ours = np.empty_like(x)
    apply_exp(x, ours)
    expected = np.exp(x.astype(np.longdouble))
    error = np.abs(ours - expected) / expected
    # 0.64 units with FMA, 0.84 without; a term less gives 1.6. NumPy's own, which stands in without
    # the JIT, is good to 1.6.
    assert error.max() < (1 if JIT else 3) * EPS[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_of_special_values(dtype):
    special = [0, -0.0, math.inf, -math.inf, math.nan, 1e4, -1e4, 89, -104]
    x = np.zeros((1, 64), dtype=dtype)
    x[0, : len(special)] = special
    ours = np.empty_like(x)
    with np.errstate(over="ignore", under="ignore"):
        apply_exp(x, ours)
        expected = np.exp(x)
    # Results below the smallest normal number may be 0.
    tiny = np.finfo(dtype).tiny
    np.testing.assert_allclose(ours, expected, rtol=2 * EPS[dtype], atol=tiny)


def naive_masks(A):
    """Bit k of word w of row r: is A[r, 64 w + k] other than 0? One bit at a time."""
    rows, columns = A.shape
    masks = [[0] * math.ceil(columns / MASK_BITS) for _ in range(rows)]
    for r, k in np.argwhere(A):
        masks[r][k // MASK_BITS] |= 1 << int(k % MASK_BITS)
    words = np.array(masks, dtype=np.uint64).reshape(rows, -1)
    return as_view(words.view(np.int64))


def run_product_on(A, masks, B, S, dtype, skip=0):
    m, n = len(A), B.shape[1]
    kind = np.dtype(dtype)
    D = padded(np.full((m, n), np.nan, dtype))
    T = np.full((1, SCRATCH_BYTES // kind.itemsize), np.nan, dtype)
    run_product(
        address(product, product_arguments, kind),
        *(A, masks, B, S, D, D, as_view(np.zeros((1, 1), dtype)), as_view(T)),
        *(address(activations.identity, epilogue_arguments, kind), skip),
    )
    return D


def assert_product(A, B, S, started, dtype):
    """The product of A and B is NumPy's, dense or masked; the two are the same bits."""
    dense = run_product_on(A, naive_masks(A)[:, :0], B, as_view(S), dtype)
    masked = run_product_on(A, naive_masks(A), B, as_view(S), dtype)
    expected = (S if started else 0) + A.astype(float) @ B.astype(float)
    # k products and a start: each rounding is at most eps/2 of the sum of magnitudes.
    bound = (np.abs(S) if started else 0) + np.abs(A.astype(float)) @ np.abs(B.astype(float))
    assert (np.abs(dense - expected) <= (A.shape[1] + 2) * EPS[dtype] * bound).all()
    if JIT:  # NumPy's products, which stand in without it, promise no order of summation
        np.testing.assert_array_equal(masked, dense)


@settings(max_examples=80, deadline=None)
@given(
    m=st.integers(1, 3 * TILE_ROWS + 1),
    k=st.integers(1, 200),
    n=st.integers(1, 300),
    dtype=st.sampled_from(DTYPES),
    transposed=st.booleans(),
    started=st.booleans(),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_product_equals_numpy_dense_or_masked(m, k, n, dtype, transposed, started, density, seed):
    rng = np.random.default_rng(seed)
    A = random(rng, (m, k), dtype) * (rng.random((m, k)) < density).astype(dtype)
    A = as_view(A.T.copy().T if transposed else A)
    B, S = padded(random(rng, (k, n), dtype), fill=0), padded(random(rng, (m, n), dtype))
    if not started:
        S = padded(np.zeros((1, n), dtype))
        S = np.lib.stride_tricks.as_strided(S, (1, n), (0, S.itemsize))
    assert_product(A, B, S, started, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), [(200, 2500, 70), (130, 1030, 17), (300, 130, 130)])
def test_product_in_several_panels_and_groups(m, k, n, dtype):
    rng = np.random.default_rng(0)
    A = as_view(random(rng, (m, k), dtype) * (rng.random((m, k)) < 0.3).astype(dtype))
    B, S = padded(random(rng, (k, n), dtype), fill=0), padded(random(rng, (m, n), dtype))
    assert_product(A, B, S, True, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_without_a_bit_are_skipped_only_where_asked(dtype):
    rng = np.random.default_rng(0)
    A = random(rng, (40, 20), dtype)
    A[16:] = 0
    B, S = padded(random(rng, (20, 33), dtype), fill=0), padded(np.zeros((40, 33), dtype))
    skipped = run_product_on(A, naive_masks(A), B, S, dtype, skip=1)
    np.testing.assert_allclose(skipped[:16], A[:16] @ B, rtol=100 * EPS[dtype], atol=EPS[dtype])
    assert np.isnan(skipped[16:]).all()  # as it was
    for masks, skip in [(naive_masks(A), 0), (naive_masks(A)[:, :0], 1)]:
        assert not run_product_on(A, masks, B, S, dtype, skip)[16:].any()


@jitted
def apply_masks(X, masks):
    total = 0
    for r in range(X.shape[0]):
        total += mark_row(X, r, masks)
    return total


@jitted
def apply_transpose_masks(masks, begin, end, out):
    transpose_masks(masks, begin, end, out)


def whole_squares(rows, columns):
    """Memory for masks (rows, words of columns) a word after the other, all bits set."""
    squares = math.ceil(rows / MASK_BITS), math.ceil(columns / MASK_BITS)
    buffer = np.full((squares[1], squares[0] * MASK_BITS), -1, dtype=np.int64)
    return as_view(buffer.T[:rows])


@jitted
def apply_transpose(A, D):
    transpose(A, D)


@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 70), n=st.integers(1, 70), dtype=st.sampled_from(DTYPES))
def test_transpose_writes_its_rows_and_zeros_in_their_padding(m, n, dtype):
    A = padded(random(np.random.default_rng(m * n), (m, n), dtype))
    D = padded(np.full((n + 1, m), np.nan, dtype))
    apply_transpose(A, D[:n])
    np.testing.assert_array_equal(D[:n], A.T)
    assert np.isnan(D[n]).all()
    used = math.ceil(m / (TARGET.vector_bytes // D.itemsize)) * (TARGET.vector_bytes // D.itemsize)
    padding = np.lib.stride_tricks.as_strided(D, (n, used), D.strides)[:, m:]
    assert not padding.any()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 150),
    columns=st.integers(1, 200),
    dtype=st.sampled_from(DTYPES),
    density=st.sampled_from([0.0, 0.3, 1.0]),
    data=st.data(),
)
def test_masks_mark_what_is_not_zero_by_row_and_by_column(rows, columns, dtype, density, data):
    rng = np.random.default_rng(rows * columns)
    values = random(rng, (rows, columns), dtype)
    values[rng.random((rows, columns)) >= density] = 0
    values[0, 0] = rng.choice([np.nan, -0.0, np.inf, 0.0])
    X = padded(values)  # NaN in the padding, which is no part of a row
    masks = whole_squares(rows, columns)
    assert apply_masks(X, masks) == np.count_nonzero(values)
    np.testing.assert_array_equal(masks, naive_masks(values))
    begin = data.draw(st.integers(0, columns - 1))
    end = data.draw(st.integers(begin + 1, columns))
    out = whole_squares(columns, rows)
    apply_transpose_masks(masks, begin, end, out)
    np.testing.assert_array_equal(out[begin:end], naive_masks(values.T)[begin:end])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 16, 33])
def test_epilogues_equal_their_equations(n, dtype):
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    T, D, M = (padded(random(rng, (5, n), dtype), fill=0) for _ in range(3))
    W = np.array(D)
    h = as_view(np.full((1, updates.HYPERPARAMETERS), 0.25, dtype))
    cases = [
        (activations.identity, T),
        (activations.relu, np.maximum(T, 0)),
        (activations.relu_derivative, T * (M > 0)),
        (updates.sgd, W - kind.type(0.25) * T),
    ]
    for kernel, expected in cases:
        D[...] = W
        run_epilogue(address(kernel, epilogue_arguments, kind), T, D, M, h)
        np.testing.assert_allclose(D, expected, rtol=2 * EPS[dtype], atol=EPS[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 16, 33])
def test_adam_equals_its_equations_and_finds_both_planes(n, dtype):
    rng = np.random.default_rng(n)
    kind = np.dtype(dtype)
    G, W = (padded(random(rng, (5, n), dtype), fill=0) for _ in range(2))
    stride = row_stride(n, kind)
    planes = aligned_zeros(5 * 2 * stride, kind).reshape(5, 2 * stride)
    planes[:, :n], planes[:, stride : stride + n] = random(rng, (5, n), dtype), rng.random((5, n))
    m, v, w = (np.array(A, float) for A in (planes[:, :n], planes[:, stride : stride + n], W))
    h = np.array([[0, 1, 0.01, 0.9, 0.1, 0.99, 0.01, 1.5, 1e-3, 0]], dtype)
    M = as_view(planes)[:, : 2 * n]
    run_epilogue(address(updates.adam, epilogue_arguments, kind), G, W, M, as_view(h))
    m, v = 0.9 * m + 0.1 * G, 0.99 * v + 0.01 * G.astype(float) ** 2
    tolerance = {"rtol": 8 * EPS[dtype], "atol": 8 * EPS[dtype]}
    np.testing.assert_allclose(planes[:, :n], m, **tolerance)
    np.testing.assert_allclose(planes[:, stride : stride + n], v, **tolerance)
    np.testing.assert_allclose(W, w - 0.01 * m / (np.sqrt(v) * 1.5 + 1e-3), **tolerance)


def test_every_activation_and_its_derivative_are_in_the_reference_too():
    from reference.activations import ACTIVATIONS

    assert set(activations.ACTIVATIONS) == set(ACTIVATIONS)


def naive_cross_entropy(Z, y, scale):
    """Row by row, class by class, in Python floats."""
    losses_, hits, gradients = [], [], []
    for z, label in zip(Z.tolist(), y, strict=True):
        shift = max(z)
        e = [math.exp(v - shift) for v in z]
        total = math.fsum(e)
        losses_.append(math.log(total) - (z[label] - shift))
        hits.append(z.index(shift) == label)
        gradients.append([scale * (v / total - (j == label)) for j, v in enumerate(e)])
    return losses_, hits, gradients


def head(kernel, Z, y, dtype, scale=1.0, D=None, least=-np.inf, largest=np.inf):
    kind = np.dtype(dtype)
    rows = len(Z)
    D = padded(np.full(Z.shape, np.nan, dtype)) if D is None else D
    scores = as_view(np.full((2, rows), np.nan, dtype))
    order = np.arange(len(y), dtype=np.int64)[::-1].copy()
    none = as_view(np.empty((1, 0), dtype))
    options = np.ones((4, Z.shape[1]), dtype)
    options[2:] = [[least], [largest]]
    run_head(
        address(kernel, head_arguments, kind),
        *(padded(Z), np.asarray(y, np.int64), none, none, order, len(y) - rows, D, scores),
        *(padded(options), kind.type(scale)),
    )
    return D, scores, order[len(y) - rows :]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [1, 2, 10, 16, 17, 100])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_softmax_cross_entropy_equals_its_naive_twin(size, n_classes, dtype):
    rng = np.random.default_rng(n_classes)
    Z = (random(rng, (9, n_classes), dtype) * size).astype(dtype)
    Z[3] = Z[3, 0]  # all equal: the first class is predicted
    y = rng.integers(0, n_classes, 12)
    D, scores, rows = head(losses.softmax_cross_entropy, Z, y, dtype, scale=0.125)
    loss, hits, gradients = naive_cross_entropy(Z, y[rows], 0.125)
    tolerance = 20 * EPS[dtype]
    np.testing.assert_allclose(scores[losses.LOSS], loss, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(scores[losses.HIT], hits)
    np.testing.assert_allclose(D, gradients, rtol=tolerance, atol=tolerance)
    padding = np.lib.stride_tricks.as_strided(D, (9, D.strides[0] // D.itemsize), D.strides)
    lanes_of_D = TARGET.vector_bytes // D.itemsize
    used = math.ceil(n_classes / lanes_of_D) * lanes_of_D
    assert not padding[:, n_classes:used].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_logit_that_is_not_a_number_gives_a_loss_that_is_none(dtype):
    for position in range(3):
        Z = np.zeros((1, 3), dtype)
        Z[0, position] = np.nan
        _, scores, _ = head(losses.softmax_cross_entropy, Z, [0], dtype)
        assert np.isnan(scores[losses.LOSS, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [1, 10, 33])
def test_softmax_rows_sum_to_one_and_stay_within_the_row(n_classes, dtype):
    rng = np.random.default_rng(0)
    Z = random(rng, (4, n_classes), dtype) * 10
    out = np.full((4, n_classes + 3), np.nan, dtype)
    head(losses.softmax, Z, np.zeros(4), dtype, D=as_view(out)[:, :n_classes])
    np.testing.assert_allclose(out[:, :n_classes].sum(axis=1), 1, rtol=10 * EPS[dtype])
    assert np.isnan(out[:, n_classes:]).all()
    head(losses.logits, Z, np.zeros(4), dtype, D=as_view(out)[:, :n_classes])
    np.testing.assert_array_equal(out[:, :n_classes], Z)


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_labels_are_clipped_and_their_gradients_are_not(dtype):
    Z = np.array([[30.0, -30.0], [-30.0, 30.0], [0.0, 1.0], [np.nan, 0.0]]).astype(dtype)
    y = np.zeros(4, int)
    D, scores, _ = head(losses.softmax_cross_entropy, Z, y, dtype, least=0.5, largest=7)
    whole, unclipped, _ = head(losses.softmax_cross_entropy, Z, y, dtype)
    assert scores[losses.LOSS].tolist()[:2] == [0.5, 7]
    assert scores[losses.LOSS, 2] == unclipped[losses.LOSS, 2]
    assert np.isnan(scores[losses.LOSS, 3])
    np.testing.assert_array_equal(D, whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [33, 64, 150])
def test_gathers_take_rows_in_the_given_order(n, dtype):
    import scipy.sparse

    from fastmlp.engine.engine import GATHERS, addresses_of
    from fastmlp.inputs import check_samples

    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    pixels = (rng.integers(0, 256, (9, n)) * (rng.random((9, n)) < 0.3)).astype(np.uint8)
    floats = random(rng, (9, n), dtype) * (rng.random((9, n)) < 0.3)
    order = rng.permutation(9)
    for x, expected in [
        (pixels, pixels.astype(dtype) * kind.type(0.5)),
        (floats, floats),
        (scipy.sparse.csr_array(floats), floats),
    ]:
        samples = check_samples(x, n, kind, 0.5)
        X, masks = padded(np.full((4, n), np.nan, dtype)), whole_squares(4, n)
        if samples.kind == "csr":  # it clears what the masks tell of the chunk before
            X[...], masks[...] = 0, 0
        for first in (2, 5):
            found = as_view(np.full((1, 2), -1.0))
            run_gather(
                address(GATHERS[samples.kind], gather_arguments, kind),
                *(as_view(addresses_of(samples.arrays)), order, first, X, masks, found),
                kind.type(samples.scale),
            )
            np.testing.assert_array_equal(X, expected[order[first : first + 4]])
            np.testing.assert_array_equal(masks, naive_masks(np.array(X)))
            np.testing.assert_array_equal(found, [[np.count_nonzero(X), 0]])
    assert gather.gather_csr in GATHERS.values()


@settings(deadline=None)
@given(st.integers(0, 5000), st.sampled_from([1, 8, 16]), st.integers(1, 20))
def test_shares_cover_everything_once_in_whole_units(items, unit, threads):
    end = 0
    for thread in range(threads):
        begin, next_end = call_share(items, unit, thread, threads)
        assert begin == end
        assert begin % unit == 0 or begin == items
        assert next_end - begin <= unit * math.ceil(math.ceil(items / unit) / threads)
        end = next_end
    assert end == items


@given(st.lists(st.integers(1, 1100), min_size=2, max_size=5), st.sampled_from(DTYPES))
def test_parameter_rows_start_cache_lines_and_never_repeat_at_4096_bytes(layers, dtype):
    kind = np.dtype(dtype)
    hidden = len(layers) - 2
    norms = [(None, "layer", "batch")[l % 3] for l in range(hidden)]
    places, items = parameter_layout(layers, kind, ["relu"] * hidden, norms, [0.0] * hidden)
    buffer = aligned_zeros(items, kind)
    views = parameter_views(buffer, places)
    assert buffer.ctypes.data % 64 == 0
    assert len(views) == 2 * (hidden + 1) + sum({None: 0, "layer": 2, "batch": 4}[n] for n in norms)
    for view in views.values():
        assert view.ctypes.data % 64 == 0
        if view.ndim == 2:
            assert view.strides[0] % 64 == 0
            assert view.strides[0] % 4096 != 0
        view += 1
    # No two parameters share a place, and all lie in the buffer.
    assert buffer.sum() == sum(view.size for view in views.values())


# --- functions that vectors need and LLVM lacks ---------------------------------------------------


@jitted
def apply_function(T, D, which):
    for j in range(0, T.shape[1], simd.lanes(T)):
        x = simd.load(T, 0, j)
        if which == 0:
            simd.store(D, 0, j, simd.exp(x))
        elif which == 1:
            simd.store(D, 0, j, simd.expm1(x))
        elif which == 2:
            simd.store(D, 0, j, simd.log1p(x))
        else:
            simd.store(D, 0, j, simd.erfcx(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("which", "exact", "low", "high"),
    [
        (0, np.exp, -87, 88),
        (1, np.expm1, -87, 0),
        (1, np.expm1, -1e-3, 0),
        (2, np.log1p, 0, 1),
        (2, np.log1p, 0, 1e-6),
        (3, scipy.special.erfcx, 0, 3),
        (3, scipy.special.erfcx, 0, 1000),
    ],
)
def test_functions_are_right_to_a_few_units_of_the_last_place(which, exact, low, high, dtype):
    x = np.linspace(low, high, 16 * 4096).astype(dtype)[None]
    D = np.empty_like(x)
    apply_function(as_view(x), as_view(D), which)
    expected = exact(x.astype(float))
    error = np.abs(D / np.where(expected == 0, 1, expected) - (expected != 0))
    assert error.max() <= 8 * EPS[dtype]


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_equal_their_equations_and_leave_the_slope_they_promise(name, dtype):
    from reference.activations import ACTIVATIONS

    kind = np.dtype(dtype)
    z = np.concatenate([np.linspace(-30, 30, 6001), [-1e4, 1e4, -1e-6, 1e-6, 0.0]])
    z = np.resize(z, (7, 859)).astype(dtype)
    T, D, M, slope = (padded(z, fill=0) for _ in range(4))
    h = as_view(np.zeros((1, updates.HYPERPARAMETERS), dtype))
    activation = activations.ACTIVATIONS[name]
    M[...] = np.nan
    run_epilogue(address(activation.function, epilogue_arguments, kind), T, D, M, h)
    exact = z.astype(float)
    size = np.maximum(np.abs(ACTIVATIONS[name].function(exact)), 1)
    assert (np.abs(D - ACTIVATIONS[name].function(exact)) <= 16 * EPS[dtype] * size).all()
    T[...] = 1
    companion = M if activation.leaves_slope else D
    run_epilogue(address(activation.derivative, epilogue_arguments, kind), T, slope, companion, h)
    np.testing.assert_allclose(
        slope, ACTIVATIONS[name].derivative(exact), rtol=0, atol=64 * EPS[dtype]
    )


@jitted
def flip_coins(A, key0, key1, row, threshold):
    for j in range(0, A.shape[1], simd.lanes(A)):
        first, second = dropout.coins(A, key0, key1, row, j, threshold)
        simd.store(A, 0, j, first)
        simd.store(A, 1, j, second)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", [1, 2**31, 3_000_000_000])
def test_coins_are_the_words_of_the_reference(threshold, dtype):
    from reference.random import stream_key, threefry

    A = np.empty((2, 64), dtype)
    key = stream_key(3, step=7, stream=2)
    flip_coins(as_view(A), int(key[0][0]), int(key[1][0]), 5, threshold)
    words = threefry(key, (np.array([5], np.uint32), np.arange(64, dtype=np.uint32)))
    np.testing.assert_array_equal(A, [word >= threshold for word in words])


def test_momentum_that_fades_is_never_subnormal_and_python_keeps_its_numbers():
    import fastmlp

    tiny = np.finfo(np.float32).tiny
    model = fastmlp.MLP([4, 3, 2])
    x, y = np.eye(4, dtype=np.float32)[:2], np.array([0, 1])
    with fastmlp.Trainer(model, fastmlp.SGD(momentum=0.5), threads=1) as trainer:
        trainer.step(x, y)
        state = trainer._engine.state
        assert np.abs(state).max() > 1e-3
        for _ in range(140):  # 0.5**126 = 1e-38
            trainer.step(np.zeros_like(x), y)
    assert not JIT or ((state == 0) | (np.abs(state) >= tiny)).all()
    assert np.float32(tiny) / 2 > 0
