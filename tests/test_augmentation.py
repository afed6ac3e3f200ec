"""Augmentation: both implementations equal each other, SciPy, and what the drawn numbers mean."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import fastmlp
import reference
from fastmlp.kernels import augment as kernel
from fastmlp.kernels.augment import AUGMENT_STREAM
from fastmlp.kernels.calls import address, augment_arguments, call_augment
from fastmlp.kernels.simd import JIT
from reference.augmentation import augment, draw_rectangle
from reference.random import stream_key, threefry
from tests.equality import assert_equal
from tests.jitted import jitted

DTYPES = ["float32", "float64"]
SEED, STEP = 3, 7
KEY = stream_key(SEED, STEP, AUGMENT_STREAM)

KINDS = {
    "nothing": {},
    "shift": {"shift": 2.5},
    "rotation": {"rotation": 30},
    "scale": {"scale": 0.4},
    "shear": {"shear": 20},
    "elastic": {"elastic_alpha": 34},
    "elastic, one tap": {"elastic_alpha": 2, "elastic_sigma": 0.1},
    "elastic, wide": {"elastic_alpha": 60, "elastic_sigma": 9},
    "erase": {"erase_probability": 0.6, "fill": 0.5},
    "erase, all sizes": {"erase_probability": 1, "erase_area": (0.001, 1)},
    "far outside": {"shift": 1e6, "scale": 0.99, "shear": 89, "elastic_alpha": 1e6, "fill": -1},
    "all": {
        "shift": 2,
        "rotation": 15,
        "scale": 0.1,
        "shear": 10,
        "elastic_alpha": 20,
        "elastic_sigma": 3,
        "erase_probability": 0.5,
        "fill": -0.25,
    },
}

SHAPES = [(28, 28), (9, 14), (33, 5, 3), (1, 1), (1, 40, 2), (40, 1), (6, 70)]


@jitted
def run_augment(where, X, settings, key0, key1, first, scratch):
    call_augment(where, X, settings, key0, key1, first, scratch)


def view(A):
    """A as the engine passes matrices: a view of free strides."""
    return np.lib.stride_tricks.as_strided(A, A.shape, A.strides)


def fast(X, augmentation, first=0, step=STEP, poison=np.nan):
    """The kernel on a copy of X in padded rows, with scratch full of ``poison``."""
    rows = np.full((len(X), X.shape[1] + 5), 77, X.dtype)
    rows[:, :-5] = X
    settings = kernel.settings_of(augmentation)
    scratch = np.full((1, kernel.scratch_items(settings) + 1), poison)
    scratch[0, -1] = 77
    key0, key1 = (int(word[0]) for word in stream_key(SEED, step, AUGMENT_STREAM))
    run_augment(
        address(kernel.augment, augment_arguments, X.dtype),
        view(rows)[:, :-5],
        *(view(settings), key0, key1, first, view(scratch[:, :-1])),
    )
    assert scratch[0, -1] == 77
    assert (rows[:, -5:] == 77).all()
    return rows[:, :-5]


def plain(X, augmentation, first=0, step=STEP):
    settings = {name: getattr(augmentation, name) for name in augmentation.__dataclass_fields__}
    settings.pop("_", None)
    shape = settings.pop("image_shape")
    return augment(X, reference.Augmentation(shape, **settings), SEED, step, first)


BOTH = pytest.mark.parametrize("side", [fast, plain])


def images(shape, n=None, dtype="float64", seed=0):
    n = n or (12 if JIT else 3)
    return np.random.default_rng(seed).random((n, math.prod(shape))).astype(dtype)


def uniform(row, k):
    """The two numbers in [0, 1) of the counter (row, k)."""
    words = threefry(KEY, (np.array([row], np.uint32), np.array([k], np.uint32)))
    return [int(word[0]) / 2**32 for word in words]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_both_are_equal(kind, shape, dtype):
    X = images(shape, dtype=dtype)
    augmentation = fastmlp.Augmentation(shape, **KINDS[kind])
    ours, expected = fast(X, augmentation, first=5), plain(X, augmentation, first=5)
    assert ours.dtype == expected.dtype == X.dtype
    assert_equal(ours, expected, dtype, kind)


@BOTH
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "nothing"])
def test_every_kind_changes_images_and_no_two_alike(side, kind):
    X = np.repeat(images((28, 28), n=1), 3, axis=0)
    changed = side(X, fastmlp.Augmentation((28, 28), **KINDS[kind]))
    assert (changed != X).any()
    if kind != "far outside":  # all of that is fill
        assert (changed[0] != changed[1]).any() or (changed[0] != changed[2]).any()


@BOTH
def test_no_change_is_the_same_bits(side):
    X = images((9, 14))
    assert side(X, fastmlp.Augmentation((9, 14))).tobytes() == X.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_scratch_may_hold_anything(dtype):
    X = images((9, 14), dtype=dtype)
    augmentation = fastmlp.Augmentation((9, 14), **KINDS["all"])
    first = fast(X, augmentation, poison=np.nan).tobytes()
    assert first == fast(X, augmentation, poison=0.0).tobytes()


@BOTH
def test_a_row_depends_on_its_place_in_the_batch_and_not_on_the_chunk(side):
    X = images((9, 14), n=5)
    augmentation = fastmlp.Augmentation((9, 14), **KINDS["all"])
    whole = side(X, augmentation)
    parts = np.concatenate([side(X[:2], augmentation), side(X[2:], augmentation, first=2)])
    assert whole.tobytes() == parts.tobytes()
    assert (whole != side(X, augmentation, first=1)).any()


@BOTH
def test_every_step_has_its_own_changes(side):
    X = images((9, 14), n=2)
    augmentation = fastmlp.Augmentation((9, 14), **KINDS["all"])
    assert side(X, augmentation).tobytes() == side(X, augmentation).tobytes()
    assert (side(X, augmentation) != side(X, augmentation, step=STEP + 1)).any()


@BOTH
@pytest.mark.parametrize("axis", [0, 1], ids=["x", "y"])
@pytest.mark.parametrize("pixels", [3, -2, 40])
def test_a_shift_by_whole_pixels_copies_them(side, axis, pixels):
    """The limit is chosen so that what is drawn is ``pixels`` along one axis.

    Along the other the shift is any number, and the image is the same everywhere: away from its
    edges.
    """
    size = 60
    shifts = {row: [2 * u - 1 for u in uniform(row, 0)] for row in range(100)}
    row = next(
        row
        for row, drawn in shifts.items()
        if drawn[axis] * pixels > 0 and abs(drawn[axis]) > 2 * abs(drawn[1 - axis])
    )
    limit = pixels / shifts[row][axis]
    margin = math.ceil(abs(shifts[row][1 - axis] * limit))
    profile = np.random.default_rng(0).random(size)
    image = np.tile(profile, (size, 1))  # it changes along x
    image = image if axis == 0 else image.T
    augmentation = fastmlp.Augmentation((size, size), shift=limit, fill=-1)
    changed = side(image.reshape(1, -1), augmentation, first=row).reshape(size, size)
    changed = changed if axis == 0 else changed.T
    moved = np.full(size, -1.0)
    if pixels > 0:
        moved[pixels:] = profile[: size - pixels]
    else:
        moved[:pixels] = profile[-pixels:]
    for line in changed[margin : size - margin]:
        np.testing.assert_allclose(line, moved, rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("sign", [1, -1])
def test_a_rotation_by_a_quarter_is_rot90(side, sign):
    """The limit is chosen so that the angle drawn is 90 degrees."""
    angles = {row: 2 * uniform(row, 1)[0] - 1 for row in range(100)}
    row = next(row for row, drawn in angles.items() if sign * drawn > 0.5)
    image = images((20, 20, 2), n=1)
    augmentation = fastmlp.Augmentation((20, 20, 2), rotation=90 / abs(angles[row]))
    changed = side(image, augmentation, first=row).reshape(20, 20, 2)
    # A positive angle turns x, to the right, towards y, down: clockwise, which rot90 calls -1.
    expected = np.rot90(image.reshape(20, 20, 2), -sign)
    np.testing.assert_allclose(changed, expected, rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("shape", [(28, 28), (9, 14)], ids=str)
def test_the_affine_part_equals_scipy(side, shape):
    """SciPy maps (row, column), and takes the inverse mapping too."""
    X, row = images(shape, n=1), 11
    settings = {"shift": 3, "rotation": 50, "scale": 0.3, "shear": 25}
    (u0, u1), (u2, u3), (u4, _) = (uniform(row, k) for k in range(3))
    theta, phi = np.deg2rad([(2 * u2 - 1) * 50, (2 * u3 - 1) * 25])
    A = (1 + (2 * u4 - 1) * 0.3) * (
        np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
        @ np.array([[1, np.tan(phi)], [0, 1]])
    )
    M = np.linalg.inv(A)[::-1, ::-1]
    centre = (np.array(shape) - 1) / 2
    shift = np.array([(2 * u1 - 1) * 3, (2 * u0 - 1) * 3])
    expected = ndimage.affine_transform(
        X.reshape(shape),
        M,
        centre - M @ (centre + shift),
        order=1,
        mode="grid-constant",
        cval=-2.0,
    )
    changed = side(X, fastmlp.Augmentation(shape, **settings, fill=-2.0), first=row)
    np.testing.assert_allclose(changed.reshape(shape), expected, rtol=0, atol=1e-10)


@BOTH
@pytest.mark.parametrize("sigma", [0.3, 1, 4, 20])
@pytest.mark.parametrize("shape", [(24, 24), (7, 19)], ids=str)
def test_the_displacement_is_noise_that_scipy_smoothes(side, sigma, shape):
    """An image whose pixels are their own coordinate shows where they come from."""
    height, width = shape
    row, alpha = 9, 0.9  # less than a pixel: all but the edge stays inside
    counters = np.arange(height * width, dtype=np.uint32) + np.uint32(16)
    words = threefry(KEY, (np.full_like(counters, row), counters))
    for axis, word in enumerate(words):
        noise = 2 * (word / 2.0**32).reshape(shape) - 1
        field = ndimage.gaussian_filter(noise, sigma, mode="constant", truncate=3)
        ramp = np.indices(shape, dtype=float)[1 - axis]
        augmentation = fastmlp.Augmentation(shape, elastic_alpha=alpha, elastic_sigma=sigma)
        changed = side(ramp.reshape(1, -1), augmentation, first=row).reshape(shape)
        inside = np.s_[1:-1, 1:-1]
        np.testing.assert_allclose(
            (changed - ramp)[inside], alpha * field[inside], rtol=0, atol=1e-12
        )


@BOTH
def test_what_is_erased_is_one_rectangle_of_the_area_drawn(side):
    shape, n = (30, 40, 2), 200 if JIT else 5
    X = images(shape, n=n)
    settings = {"erase_probability": 0.4, "erase_area": (0.1, 0.3), "fill": 2}
    changed = side(X, fastmlp.Augmentation(shape, **settings)).reshape(n, *shape)
    aspects = []
    for row in range(n):
        erased = changed[row] == 2
        assert (changed[row][~erased] == X[row].reshape(shape)[~erased]).all()
        u = uniform(row, 2)[1]
        assert erased.any() == (u < 0.4)
        if not erased.any():
            continue
        assert (erased[:, :, 0] == erased[:, :, 1]).all()
        ys, xs = np.nonzero(erased[:, :, 0])
        height, width = np.ptp(ys) + 1, np.ptp(xs) + 1
        assert len(ys) == height * width
        # Rounded to whole pixels: the area by half a pixel of its longer side, at most.
        area = (0.1 + 0.2 * uniform(row, 3)[0]) * 30 * 40
        assert abs(height * width - area) <= max(height, width) / 2 + 1
        aspects.append(height / width)
    if JIT:
        assert 0.25 * n < len(aspects) < 0.55 * n
        assert min(aspects) < 0.5
        assert max(aspects) > 2


def test_both_draw_from_one_stream_which_no_layer_has():
    assert AUGMENT_STREAM == reference.augmentation.AUGMENT_STREAM == 2**31


def test_rectangles_lie_inside_and_reach_every_corner():
    augmentation = reference.Augmentation((6, 9), erase_probability=1, erase_area=(0.01, 1))
    tops, bottoms, lefts, rights = set(), set(), set(), set()
    for row in range(300):
        top, left, height, width = draw_rectangle(augmentation, KEY, row)
        assert height >= 1
        assert width >= 1
        tops.add(top)
        lefts.add(left)
        bottoms.add(top + height)
        rights.add(left + width)
    assert (min(tops), min(lefts), max(bottoms), max(rights)) == (0, 0, 6, 9)


BAD = [
    ({"image_shape": 784}, TypeError, "image_shape must be"),
    ({"image_shape": (28,)}, ValueError, "image_shape must be"),
    ({"image_shape": (28, 28, 1, 1)}, ValueError, "image_shape must be"),
    ({"image_shape": (28, 0)}, ValueError, r"image_shape\[1\] must be an integer.* 1.*0"),
    ({"image_shape": (28.0, 28)}, TypeError, r"image_shape\[0\] must be an integer"),
    ({"shift": -1}, ValueError, r"shift must be a number from 0 to 1e\+06.*-1"),
    ({"shift": math.nan}, ValueError, "shift must be a number.*nan"),
    ({"rotation": 180.5}, ValueError, "rotation must be a number from 0 to 180.*180.5"),
    ({"scale": 1}, ValueError, "scale must be a number from 0 to 0.99.*1"),
    ({"shear": 90}, ValueError, "shear must be a number from 0 to 89.*90"),
    ({"elastic_alpha": math.inf}, ValueError, "elastic_alpha must be a number.*inf"),
    ({"elastic_sigma": 0}, ValueError, "elastic_sigma must be a number from 0.01 to 1000.*0"),
    ({"elastic_sigma": "4"}, TypeError, "elastic_sigma must be a number.*'4'"),
    ({"erase_probability": 1.1}, ValueError, "erase_probability must be a number from 0 to 1.*1.1"),
    ({"erase_probability": True}, TypeError, "erase_probability must be a number.*True"),
    ({"erase_area": 0.1}, TypeError, "erase_area must be"),
    ({"erase_area": (0.1, "b")}, TypeError, "erase_area must be"),
    ({"erase_area": (0.2, 0.1)}, ValueError, "erase_area must be.*0.2, 0.1"),
    ({"erase_area": (0, 0.1)}, ValueError, "erase_area must be.*0 < low"),
    ({"erase_area": (0.1, 1.5)}, ValueError, "erase_area must be.*1.5"),
    ({"fill": math.inf}, ValueError, "fill must be a number.*inf"),
    ({"fill": 10**400}, ValueError, "fill must be a number"),
]


@pytest.mark.parametrize("module", [fastmlp, reference])
@pytest.mark.parametrize(("settings", "error", "message"), BAD)
def test_bad_settings_are_refused_by_name(module, settings, error, message):
    with pytest.raises(error, match=message) as caught:
        module.Augmentation(**{"image_shape": (28, 28), **settings})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", [fastmlp, reference])
def test_a_description_is_plain_and_frozen(module):
    augmentation = module.Augmentation([28, 30, 3], shift=np.float32(2), erase_area=[0.1, 1])
    assert augmentation.image_shape == (28, 30, 3)
    assert augmentation.n_features == 28 * 30 * 3
    assert type(augmentation.shift) is float
    assert augmentation.erase_area == (0.1, 1.0)
    assert augmentation == module.Augmentation((28, 30, 3), shift=2, erase_area=(0.1, 1))
    assert hash(augmentation) == hash(
        module.Augmentation((28, 30, 3), shift=2, erase_area=(0.1, 1))
    )
    with pytest.raises(AttributeError):
        augmentation.shift = 3


def test_the_example_of_the_page_runs(capsys):
    page = (Path(__file__).resolve().parents[1] / "docs" / "augmentation.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope = {}
    exec(compile(example, "docs/augmentation.md", "exec"), scope)
    assert scope["seen"].shape == scope["digits"].shape
    assert (scope["seen"] != scope["digits"]).any()
    assert capsys.readouterr().out.count("\n") == 8
