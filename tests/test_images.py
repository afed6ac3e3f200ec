"""Images brought to what a network saw, against MNIST itself."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

import fastmlp
from fastmlp.images import MAX_PIXELS, format_of, prepare, read_image

MNIST, DIGITS = format_of(784), format_of(64)
SAMPLES = 200


@pytest.fixture(scope="module")
def mnist():
    return fastmlp.load_dataset("mnist")


@pytest.fixture(scope="module")
def model(mnist):
    model = fastmlp.MLP([784, 64, 10], seed=0)
    fastmlp.fit(model, mnist.x_train, mnist.y_train, epochs=2, optimizer=fastmlp.Adam())
    return model


def encoded(pixels, kind="PNG", **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, kind, **options)
    file.seek(0)
    return file


def read(pixels, kind="PNG", **options):
    return read_image(encoded(pixels, kind, **options), "image")


def blown_up(digit, scale, resample, rng):
    """A digit of MNIST somewhere on a larger dark image."""
    image = Image.fromarray(digit.reshape(28, 28)).resize((28 * scale,) * 2, resample)
    canvas = Image.new("L", (40 * scale, 50 * scale))
    canvas.paste(image, (int(rng.integers(0, 12 * scale)), int(rng.integers(0, 22 * scale))))
    return np.asarray(canvas)


def photograph(pixels, rng):
    """Printed, on paper that light falls on from one side, and noisy."""
    height, width = pixels.shape
    paper = 170 + np.linspace(-30, 30, width) + np.linspace(-20, 20, height)[:, None]
    noisy = paper * (1 - 0.75 * pixels / 255) + rng.normal(0, 6, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


CHANGES = {
    "a PNG of ten times the size": (10, lambda pixels, rng: read(pixels)),
    "a JPEG, dark on light": (10, lambda pixels, rng: read(255 - pixels, "JPEG", quality=60)),
    "a PNG of twice the size": (2, lambda pixels, rng: read(pixels)),
    "faint ink on grey": (5, lambda pixels, rng: read(120 + (pixels / 4).astype(np.uint8))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_digit_is_recognised_whatever_its_size_place_polarity_and_file(mnist, model, change):
    scale, changed = CHANGES[change]
    rng = np.random.default_rng(0)
    digits = mnist.x_test[:SAMPLES]
    images = [changed(blown_up(d, scale, Image.Resampling.BICUBIC, rng), rng) for d in digits]
    rows = np.concatenate([prepare(image, MNIST, "image").row for image in images])
    assert rows.dtype == np.uint8
    assert (model.predict(rows) == model.predict(digits)).mean() >= 0.95


def test_most_digits_are_recognised_on_uneven_noisy_paper(mnist, model):
    rng = np.random.default_rng(0)
    digits = mnist.x_test[:SAMPLES]
    enlarged = [blown_up(digit, 10, Image.Resampling.BICUBIC, rng) for digit in digits]
    rows = [prepare(photograph(pixels, rng), MNIST, "image").row for pixels in enlarged]
    assert (model.predict(np.concatenate(rows)) == model.predict(digits)).mean() >= 0.85


def test_what_is_prepared_has_the_box_the_centre_and_the_peak_of_mnist(mnist):
    rng = np.random.default_rng(1)
    for digit in mnist.x_test[:SAMPLES]:
        pixels = blown_up(digit, 6, Image.Resampling.BICUBIC, rng)
        image = prepare(pixels, MNIST, "image").row.reshape(28, 28).astype(float)
        rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)  # an edge may round to nothing
        assert image.max() == 255
        place = np.arange(28)
        for axis in (1, 0):
            assert abs(image.sum(axis) @ place / image.sum() - 14) <= 0.51  # its values are rounded


def test_an_image_of_mnist_is_taken_as_it_is(mnist):
    for digit in mnist.x_test[:20]:
        pixels = digit.reshape(28, 28)
        prepared = prepare(read(pixels), MNIST, "image")
        np.testing.assert_array_equal(prepared.row[0], digit)
        assert prepared.steps == "28x28, light on dark: taken as it is"
        prepared = prepare(read(255 - pixels), MNIST, "image")
        np.testing.assert_array_equal(prepared.row[0], digit)
        assert prepared.steps == "28x28, dark on light: inverted"


def moved(digit):
    """To the corner of its 28x28."""
    return np.pad(digit.reshape(28, 28)[4:24, 4:24], ((0, 8), (0, 8)))


def halved(digit):
    small = Image.fromarray(digit.reshape(28, 28)[4:24, 4:24]).resize(
        (10, 10), Image.Resampling.BOX
    )
    return np.pad(np.asarray(small), 9)


OTHERS = {
    "in a corner": (moved, 0.85),
    "of half the size": (halved, 0.8),
    "faint": (lambda digit: digit.reshape(28, 28) // 4, 0.95),
    "on grey": (lambda digit: 60 + digit.reshape(28, 28) // 2, 0.95),
}


@pytest.mark.parametrize("change", OTHERS)
def test_an_image_of_28x28_that_is_not_like_mnist_is_prepared(mnist, model, change):
    changed, right = OTHERS[change]
    digits = mnist.x_test[:SAMPLES]
    found = [prepare(read(changed(digit)), MNIST, "image") for digit in digits]
    assert {"cropped" in prepared.steps for prepared in found} == {True}
    labels = model.predict(np.concatenate([prepared.row for prepared in found]))
    assert (labels == model.predict(digits)).mean() >= right


def test_every_image_of_the_published_test_sets_is_its_own(mnist):
    digits = fastmlp.load_dataset("digits").x_test
    for known, x in ((MNIST, mnist.x_test / np.float32(255)), (DIGITS, digits)):
        assert all(known.is_own(row.reshape(known.side, known.side)) for row in x)


def test_an_image_of_the_digits_is_taken_as_it_is():
    x = fastmlp.load_dataset("digits").x_test[:20]
    for row in x:
        pixels = np.rint(row.reshape(8, 8) * 255).astype(np.uint8)
        np.testing.assert_array_equal(prepare(read(pixels), DIGITS, "image").row[0], row)


def test_most_of_the_digits_are_recognised_when_they_are_blown_up():
    data = fastmlp.load_dataset("digits")
    model = fastmlp.MLP([64, 64, 10], seed=0)
    fastmlp.fit(model, data.x_train, data.y_train, epochs=30, batch_size=32)
    x = data.x_test[:SAMPLES]
    rows = []
    for row in x:
        pixels = np.kron(np.rint(row.reshape(8, 8) * 255).astype(np.uint8), np.ones((20, 20)))
        larger = np.pad(pixels.astype(np.uint8), ((50, 90), (60, 80)))
        rows.append(prepare(larger, DIGITS, "image").row)
    assert (model.predict(np.concatenate(rows)) == model.predict(x)).mean() >= 0.85


def test_a_digit_for_the_digits_network_fills_all_rows_in_sixteenths(mnist):
    prepared = prepare(mnist.x_test[0].reshape(28, 28), DIGITS, "image")
    assert prepared.row.dtype == np.float32
    assert prepared.row.max() == 1
    np.testing.assert_array_equal(prepared.row * 16, np.rint(prepared.row * 16))
    assert prepared.row.reshape(8, 8).any(axis=1).all()


def test_the_steps_are_told_with_their_sizes():
    pixels = np.full((480, 640), 250, np.uint8)
    pixels[100:400, 200:260] = 10
    steps = prepare(pixels, MNIST, "image").steps
    assert steps == ("640x480, dark on light: inverted, cropped to 60x300, scaled to 4x20, centred")


def stroke(mode, ground, ink):
    image = Image.new(mode, (300, 400), ground)
    ImageDraw.Draw(image).line([(150, 50), (100, 350)], fill=ink, width=30)
    return image


MODES = {
    "grey": stroke("L", 255, 0),
    "one bit": stroke("1", 1, 0),
    "colour": stroke("RGB", (255, 250, 240), (0, 0, 90)),
    "palette": stroke("RGB", (255, 255, 255), (0, 0, 0)).quantize(4),
    "black on nothing": stroke("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)),
    "white on nothing": stroke("RGBA", (0, 0, 0, 0), (255, 255, 255, 255)),
    "black on white, itself on nothing": stroke("LA", (255, 255), (0, 255)),
    "a hole in paper": stroke("RGBA", (255, 255, 255, 255), (0, 0, 0, 255)),
    "16 bits": Image.fromarray(np.asarray(stroke("L", 255, 0)).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_of_pixel_becomes_the_same_ink(mode):
    expected = prepare(np.asarray(stroke("L", 0, 255)), MNIST, "image").row.astype(int)
    row = prepare(read(MODES[mode]), MNIST, "image").row.astype(int)
    assert np.abs(row - expected).max() <= 8  # the colours' ink is not black


def test_an_image_is_turned_upright_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    lying = stroke("L", 255, 0).rotate(90, expand=True)
    np.testing.assert_allclose(
        read(lying, "JPEG", exif=exif).astype(int),
        read(stroke("L", 255, 0), "JPEG").astype(int),
        atol=40,
    )


LARGE = {
    "RGBA": ("PNG", (255, 255, 255, 255), (0, 0, 0, 255)),
    "RGB": ("JPEG", (255, 255, 255), (0, 0, 0)),
    "L": ("PNG", 255, 0),
    "LA": ("PNG", (0, 0), (0, 255)),
}


@pytest.mark.parametrize("mode", LARGE)
def test_a_large_image_is_made_smaller_as_it_is_read(mode):
    kind, ground, ink = LARGE[mode]
    exif = Image.Exif()
    exif[0x0112] = 6
    large = stroke(mode, ground, ink).resize((3001, 4000), Image.Resampling.NEAREST)
    pixels = read(large.rotate(90, expand=True), kind, exif=exif)
    assert 512 < max(pixels.shape) <= 1024
    assert pixels.shape[0] > pixels.shape[1]
    whole = np.asarray(stroke("L", 255, 0).resize((3001, 4000), Image.Resampling.NEAREST))
    expected = prepare(whole, MNIST, "image").row.astype(int)
    assert np.abs(prepare(pixels, MNIST, "image").row - expected).max() <= 24


PEAK = """
import sys
from fastmlp.images import read_image
from fastmlp.machine import peak_rss_bytes
before = peak_rss_bytes()
with open(sys.argv[1], "rb") as file:
    read_image(file, "image")
print(peak_rss_bytes() - before >> 20)
"""


def test_a_large_image_takes_little_more_memory_than_its_pixels(tmp_path):
    stroke("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)).resize((4500, 6000)).save(
        tmp_path / "large.png", compress_level=1
    )
    command = [sys.executable, "-c", PEAK, tmp_path / "large.png"]
    grown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert 100 < int(grown) < 200  # MB: 108 of the pixels; 700 when copies of all of it are made


BAD = {
    "is a damaged image": io.BytesIO(encoded(stroke("L", 255, 0)).getvalue()[:300]),
    "is no image of PNG": io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n"),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_image_is_refused_in_one_line(reason):
    with pytest.raises(fastmlp.DataError, match=f"^image: {reason}.*$"):
        read_image(BAD[reason], "image")


@pytest.mark.parametrize("side", [7100, 9600, 20_000])
def test_an_image_that_would_fill_the_memory_is_refused_by_its_header(side):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(chunk))
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + check
    header = io.BytesIO(start + struct.pack(">I", 1 << 20) + b"IDAT")  # and nothing to decode
    with pytest.raises(fastmlp.DataError, match=f"more than {MAX_PIXELS:,} pixels"):
        read_image(header, "image")


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (28, 28), (300, 200)])
def test_an_image_of_one_grey_has_no_ink(size):
    with pytest.raises(fastmlp.DataError, match="no ink"):
        prepare(np.full(size, 200, np.uint8), MNIST, "image")


def test_paper_with_nothing_but_noise_has_no_ink():
    noise = np.random.default_rng(0).normal(170, 6, (400, 500))
    with pytest.raises(fastmlp.DataError, match="no ink that stands out"):
        prepare(np.clip(noise, 0, 255).astype(np.uint8), MNIST, "image")


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (1, 5000), (5000, 3)])
def test_the_smallest_and_the_thinnest_images_are_prepared(size):
    pixels = np.zeros(size, np.uint8)
    pixels[size[0] // 2, size[1] // 2] = 255
    assert prepare(pixels, MNIST, "image").row.max() == 255


@pytest.mark.parametrize("size", [(1, 2), (2, 1)])
def test_two_pixels_cannot_be_told_into_ink_and_ground(size):
    with pytest.raises(fastmlp.DataError, match="no ink"):
        prepare(np.array([0, 255], np.uint8).reshape(size), MNIST, "image")
