"""``python -m fastmlp.demo``: its page in headless Chromium, and what its server refuses."""

import base64
import contextlib
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib

import numpy as np
import pytest
import uvicorn
from PIL import Image

import fastmlp
from fastmlp.demo.answers import MAX_UPLOAD, Answers
from fastmlp.demo.app import MAX_CHOICE, make_app
from fastmlp.demo.choices import OFFERED, Choice
from fastmlp.demo.training import Training
from tests.browser import TIMEOUT, opened_page

ENDED = ("done", "cancelled", "failed")


def wait_until(holds, seconds=TIMEOUT / 1000):
    end = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < end, "it has not come to pass"
        time.sleep(0.02)
    return value


def start(*flags):
    return subprocess.Popen(
        [sys.executable, "-m", "fastmlp.demo", "--no-browser", *flags],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )


@contextlib.contextmanager
def command(*flags):
    """The command's address and process; Ctrl-C ends it, with nothing more to say."""
    process = start("--port", "0", *flags)
    try:
        for line in process.stderr:
            if found := re.search(r"http://\S+", line):
                break
        yield found[0], process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            rest = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert (process.returncode, rest) == (130, "")


@pytest.fixture(scope="module")
def mnist():
    return fastmlp.load_dataset("mnist")


@pytest.fixture(scope="module")
def browser():
    """The command, as it trains its first network; a page of it, its problems and its requests."""
    with command() as (address, _), opened_page() as (page, problems):
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        yield address, page, problems, requests
        assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in requests)


@pytest.fixture
def page(browser):
    """The page, opened anew."""
    address, page, problems, _ = browser
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(address)
    page.locator("#bars li").nth(9).wait_for()
    problems.clear()
    yield page
    # Chromium calls an answer that refuses an error; nothing else may go wrong.
    assert [problem for problem in problems if "responded with a status of 4" not in problem] == []


def draw(page, points, watch=lambda: None):
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
    page.mouse.down()
    for x, y in points[1:]:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
        watch()
    page.mouse.up()


def verdict(page):
    """The digit that the page says, once it says one."""
    text = wait_until(lambda: re.match(r"It is a (\d), (.*) %\.", page.inner_text("#verdict")))
    return int(text[1])


def shares(page):
    return page.locator("#bars li span:last-child").all_inner_texts()


ONE = [(140, 40 + 10 * k) for k in range(21)]
ZERO = [
    (140 + 60 * np.sin(angle), 140 - 95 * np.cos(angle)) for angle in np.linspace(0, 2 * np.pi, 40)
]


@pytest.mark.parametrize(("digit", "points"), [(1, ONE), (0, ZERO)])
def test_a_drawn_digit_is_recognised_and_the_bars_move_meanwhile(page, digit, points):
    seen = {("",) * 10}

    def watch():  # a busy machine has a second to move the bars before the pen moves on
        until = time.monotonic() + 1
        while len(seen) < 4 and time.monotonic() < until and tuple(shares(page)) in seen:
            time.sleep(0.02)
        seen.add(tuple(shares(page)))

    draw(page, points, watch)
    wait_until(lambda: verdict(page) == digit)
    assert len(seen) >= 4
    assert len(shares(page)) == 10
    pixels = page.evaluate(
        "() => Array.from(document.getElementById('seen').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data).filter((_, k) => k % 4 == 0)"
    )
    image = np.array(pixels, float).reshape(28, 28)
    rows = np.flatnonzero(image.any(axis=1))
    assert np.ptp(rows) + 1 == 20
    assert abs(image.sum(axis=1) @ np.arange(28) / image.sum() - 14) <= 0.51


def test_a_digit_is_drawn_by_the_keyboard(page):
    page.focus("#pad")
    for key in ["ArrowUp"] * 10 + [" "] + ["ArrowDown"] * 20 + [" "]:
        page.keyboard.press(key)
    wait_until(lambda: verdict(page) == 1)
    page.keyboard.press("Delete")
    assert "Empty" in page.inner_text("#verdict")
    assert shares(page) == [""] * 10


def photo(digit):
    """A digit of MNIST as an image, larger and dark on light."""
    file = io.BytesIO()
    pixels = Image.fromarray(255 - digit.reshape(28, 28)).resize((280, 280))
    Image.fromarray(np.pad(np.asarray(pixels), ((0, 90), (130, 0)), constant_values=255)).save(
        file, "PNG"
    )
    return file.getvalue()


def choose(page, content, name="digit.png"):
    page.set_input_files("#file", [{"name": name, "mimeType": "image/png", "buffer": content}])


def drop(page, content, name="digit.png", n_bytes=None):
    """Drop a file of that content, or of so many zeros."""
    transfer = page.evaluate_handle(
        """([text, name, length]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const content = length === null ? bytes : new Uint8Array(length);
            transfer.items.add(new File([content], name, { type: "image/png" }));
            return transfer;
        }""",
        [base64.b64encode(content).decode(), name, n_bytes],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


@pytest.mark.parametrize("give", [choose, drop])
def test_an_image_that_is_chosen_or_dropped_is_recognised(page, mnist, give):
    for k in (0, 1, 2):  # 7, 2, 1
        give(page, photo(mnist.x_test[k]))
        wait_until(lambda k=k: verdict(page) == mnist.y_test[k])
    assert "dark on light: inverted" in page.inner_text("#steps")
    draw(page, ZERO)  # on an empty area, not on the image
    wait_until(lambda: verdict(page) == 0)


def error_line(page):
    page.locator("#error:not([hidden])").wait_for()
    text = page.inner_text("#error")
    assert "\n" not in text
    return text


def test_bad_input_is_a_line_on_the_page_and_the_page_goes_on(page, mnist):
    choose(page, b"hello", "hello.txt")
    assert error_line(page) == "hello.txt: is no image of PNG, JPEG, GIF, WEBP"
    assert page.inner_text("#verdict") == "No prediction."
    drop(page, photo(mnist.x_test[0]))
    wait_until(lambda: verdict(page) == 7)
    assert page.locator("#error").is_hidden()

    choose(page, photo(mnist.x_test[0])[:-900], "broken.png")
    wait_until(lambda: error_line(page).startswith("broken.png: is a damaged image"))
    choose(page, photo(np.zeros(784, np.uint8)), "paper.png")
    wait_until(lambda: "paper.png: 410x370, no ink" in error_line(page))
    drop(page, b"", "large.png", MAX_UPLOAD + 1)
    wait_until(lambda: error_line(page) == "large.png has 10.0 MB; at most 10 MB are taken.")

    choose(page, grey_png(1), "one.png")
    wait_until(lambda: error_line(page) == "one.png: 1x1, no ink: all of it is of one grey")
    choose(page, grey_png(20_000), "huge.png")
    wait_until(
        lambda: (
            error_line(page)
            == "huge.png: has more than 50,000,000 pixels, the most that are read: make it smaller"
        )
    )

    page.click("#clear")
    assert page.inner_text("#verdict") == "Empty: draw a digit."
    draw(page, ONE)
    wait_until(lambda: verdict(page) == 1)
    assert page.locator("#error").is_hidden()


def grey_png(side):
    """A black square as a PNG file of one bit a pixel."""
    packer = zlib.compressobj(1)
    row = bytes(1 + -(-side // 8))
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def train(page, **choice):
    for name, value in choice.items():
        page.select_option(f"select[name={name}]", str(value))
    page.click("#train")


def points(page):
    line = page.locator("#curve polyline").first
    return len(line.get_attribute("points").split()) if line.count() else 0


def test_a_network_is_trained_its_curve_is_seen_and_it_answers_from_then_on(page):
    draw(page, ZERO)
    wait_until(lambda: verdict(page) == 0)
    before = shares(page)
    train(page, hidden="32", activation="tanh", optimizer="SGD, rate 0.1", epochs=3)
    wait_until(lambda: "784-32-10" in page.inner_text("#answering"))
    percent = float(
        re.match(r"([\d.]+) % right on 10000 test images", page.inner_text("#progress"))[1]
    )
    assert percent > 90
    assert points(page) >= 3
    for name in ("confusion", "mistakes"):
        picture = page.locator(f"#{name}")
        wait_until(lambda picture=picture: picture.evaluate("p => p.naturalWidth") > 500)
    wait_until(lambda: shares(page) != before)
    wait_until(lambda: verdict(page) == 0)


def test_a_training_is_cancelled_and_the_network_before_it_goes_on_answering(page):
    answering = wait_until(lambda: page.inner_text("#answering"))
    train(page, hidden="512, 256, 128", epochs=20)
    wait_until(lambda: page.inner_text("#progress").startswith("Training: epoch"))
    assert page.locator("#train").is_disabled()
    draw(page, ZERO)  # it answers meanwhile
    wait_until(lambda: verdict(page) == 0)
    page.click("#cancel")
    wait_until(lambda: page.inner_text("#progress").startswith("Cancelled"))
    wait_until(lambda: page.locator("#train").is_enabled())
    assert page.inner_text("#answering") == answering


def test_a_page_that_is_opened_while_a_network_learns_shows_it(page, browser):
    train(page, hidden="512, 256, 128", epochs=20)
    wait_until(lambda: points(page) > 1)
    page.reload()
    wait_until(lambda: page.inner_text("#progress").startswith("Training: epoch"))
    browser[2].clear()  # a question of the page before has got no answer
    page.click("#cancel")
    wait_until(lambda: page.inner_text("#progress").startswith("Cancelled"))


def test_a_file_that_changes_after_it_was_chosen_is_what_it_was(page, mnist, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(photo(mnist.x_test[0]))
    page.set_input_files("#file", path)
    wait_until(lambda: verdict(page) == 7)
    before = shares(page)
    path.write_bytes(b"something else")
    train(page, epochs=1)
    wait_until(lambda: shares(page) != before)
    assert verdict(page) == 7
    assert page.locator("#error").is_hidden()


def test_what_cannot_be_read_is_said(page):
    page.evaluate(  # as of a folder
        "() => { File.prototype.arrayBuffer = () => Promise.reject(new DOMException('gone')); }"
    )
    drop(page, b"", "folder")
    assert error_line(page) == "folder cannot be read."
    assert page.inner_text("#verdict") == "No prediction."
    draw(page, ONE)
    wait_until(lambda: verdict(page) == 1)
    assert page.locator("#error").is_hidden()


def test_a_page_hears_of_the_network_that_another_page_trained(page, browser):
    draw(page, ZERO)
    wait_until(lambda: verdict(page) == 0)
    assert "784-10." not in page.inner_text("#answering")
    choice = {"hidden": "none: a linear classifier", "epochs": 1}
    assert ask(f"{browser[0]}/train", json.dumps(choice).encode())[0] == 202
    assert finished(browser[0])["state"] == "done"
    draw(page, ONE)
    wait_until(lambda: "784-10." in page.inner_text("#answering"))


def test_the_axes_of_the_curve_have_titles_inside_of_it(page):
    train(page, epochs=1)
    wait_until(lambda: page.locator("#train").is_enabled())  # it is drawn anew until then
    for name in ("loss", "accuracy"):
        title = page.locator(f"#curve text.{name}")
        assert title.text_content() == name
        colours = [
            page.locator(f"{where}.{name}").evaluate(f"(it) => getComputedStyle(it).{key}")
            for where, key in (("#curve text", "fill"), ("figcaption b", "color"))
        ]
        assert colours[0] == colours[1]
        box, whole = title.bounding_box(), page.locator("#curve").bounding_box()
        assert whole["x"] <= box["x"]
        assert box["x"] + box["width"] <= whole["x"] + whole["width"]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    # What is drawn and what the network says of it are seen at once.
    bars = page.locator("#bars").bounding_box()
    assert bars["y"] + bars["height"] <= 844


# ---- the server


@contextlib.contextmanager
def served(answers, host="127.0.0.1"):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            make_app(answers, host), log_level="critical", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def digits():
    return fastmlp.load_dataset("digits")


@pytest.fixture
def answers(digits):
    return Answers(digits, "no network", fastmlp.MLP([784, 8, 10], seed=0))


@pytest.fixture
def server(answers):
    with served(answers) as address:
        yield address


def ask(address, body=None, **headers):
    """Status and JSON value of an answer."""
    request = urllib.request.Request(
        address, data=body, headers={name.title(): value for name, value in headers.items()}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_an_image_is_answered_as_from_python(server, mnist, answers):
    file = io.BytesIO()
    Image.fromarray(mnist.x_test[0].reshape(28, 28)).save(file, "PNG")
    status, value = ask(f"{server}/predict", file.getvalue())
    assert status == 200
    expected = answers.model().predict_proba(mnist.x_test[:1])[0]
    np.testing.assert_array_equal(np.array(value["probabilities"], np.float32), expected)
    np.testing.assert_allclose(np.array(value["pixels"]) * 255, mnist.x_test[0], atol=0.2)


def test_too_much_is_refused_and_the_server_goes_on(server):
    # One byte more: all of it has been sent when the server answers.
    status, value = ask(f"{server}/predict?name=x.png", bytes(MAX_UPLOAD + 1))
    assert (status, value) == (413, {"error": "x.png has more than 10 MB"})
    status, value = ask(f"{server}/train", bytes(MAX_CHOICE + 1))
    assert (status, value) == (413, {"error": "the choice has more than 0.00954 MB"})
    assert ask(f"{server}/state")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:7860"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "["}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"host": "localhost:7860"}, 200),
        ({"host": "[::1]:7860"}, 200),
        ({"host": "localhost:7860", "origin": "http://localhost:7860"}, 200),
        ({"host": "localhost:7860", "origin": "http://localhost:7861"}, 403),
    ],
)
def test_other_web_pages_may_not_use_it(server, headers, status):
    assert ask(f"{server}/state", **headers)[0] == status


def test_the_name_that_it_listens_at_is_its_own(answers):
    with served(answers, "Digits.example") as address:
        assert ask(f"{address}/state", host="digits.example:80")[0] == 200


def test_outputs_that_are_not_finite_are_said(server, answers, mnist):
    for weights in answers.model().weights:
        weights *= np.float32(1e25)
    status, value = ask(f"{server}/predict?name=x.png", photo(mnist.x_test[0]))
    assert (status, value) == (422, {"error": "x.png: the network's outputs are not finite"})


BAD_CHOICES = {
    "no JSON": (b"{", "the choice must be JSON"),
    "a list": (b"[]", "a choice must be an object of hidden"),
    "another field": (b'{"layers": 3}', "a choice must be an object of hidden"),
    "a size": (b'{"hidden": "999999999"}', "hidden must be one of 32; 128; "),
    "a million epochs": (b'{"epochs": 1000000}', "epochs must be one of 1; 3; 5; 10; 20, not 1000"),
    "true epochs": (b'{"epochs": true}', "epochs must be one of"),
    "an optimiser": (b'{"optimizer": ["Adam"]}', "optimizer must be one of"),
}


@pytest.mark.parametrize("name", BAD_CHOICES)
def test_a_network_that_is_not_offered_is_refused_in_one_line(server, name):
    body, reason = BAD_CHOICES[name]
    status, value = ask(f"{server}/train", body)
    assert status == 422
    assert reason in value["error"]
    assert "\n" not in value["error"]


def finished(server):
    return wait_until(lambda: (t := ask(f"{server}/training")[1])["state"] in ENDED and t)


@pytest.mark.parametrize("k", range(5))
def test_everything_that_is_offered_learns(server, k):
    assert max(map(len, OFFERED.values())) == 5
    choice = {name: values[k % len(values)] for name, values in OFFERED.items()} | {"epochs": 5}
    assert ask(f"{server}/train", json.dumps(choice).encode())[0] == 202
    training = finished(server)
    assert training["state"] == "done"
    assert training["accuracy"] > 0.6
    assert training["pictures"] == ["confusion", "mistakes"]
    assert ask(f"{server}/state")[1]["model"] == training["layers"]


def test_one_network_is_trained_at_a_time(server, answers):
    release = threading.Event()
    training = answers.start(Choice(epochs=20))
    on_progress = training.on_progress
    training.on_progress = lambda *values: (release.wait(60), on_progress(*values))
    try:
        status, value = ask(f"{server}/train", b"{}")
        assert (status, value["error"]) == (
            409,
            "a network is being trained: wait for it, or cancel it",
        )
        ask(f"{server}/cancel", b"")
    finally:
        release.set()
    assert finished(server)["state"] in ("cancelled", "done")
    assert ask(f"{server}/train", b"{}")[0] == 202
    assert finished(server)["number"] == 2


def test_what_fails_is_said_and_the_server_goes_on(server, answers, monkeypatch):
    def fail(*arguments, **named):
        raise FloatingPointError("the loss is\nnan")

    with monkeypatch.context() as patch:
        patch.setattr("fastmlp.demo.training.fit", fail)
        ask(f"{server}/train", b"{}")
        training = finished(server)
        assert (training["state"], training["error"]) == ("failed", "the loss is nan")
        patch.setattr(answers, "predict", fail)
        status, value = ask(f"{server}/predict", b"x")
        assert (status, value) == (500, {"error": "the server failed: its terminal says how"})
    assert ask(f"{server}/predict", b"x")[0] == 422
    ask(f"{server}/train", b"{}")
    assert finished(server)["state"] == "done"


def test_a_loss_that_is_no_number_is_no_point_of_the_curve(digits):
    training = Training(1, digits, Choice())
    training.on_train_begin(None, 5, 1000)
    training.on_progress(250, 2.5, 0.1)
    training.on_progress(500, np.nan, 0.1)
    assert json.loads(json.dumps(training.report(), allow_nan=False))["points"] == [
        [0.25, 2.5, 0.1]
    ]


@pytest.mark.parametrize("path", ["/nothing", "/pictures/confusion", "/..%2fapp.py", "/page.css/x"])
def test_what_is_not_there_is_not_found(server, path):
    assert ask(f"{server}{path}")[0] == 404


def test_the_page_says_that_it_learns_the_digits_and_why(page, server):
    page.goto(server)
    page.locator("#notice:not([hidden])").wait_for()
    assert "8\u00d78 digits here: no network" in page.inner_text("#notice")
    assert "8\u00d78 digits" in page.inner_text("#train-title")
    page.click("#train")
    wait_until(lambda: "right on 360 test images" in page.inner_text("#progress"))
    draw(page, ONE)
    verdict(page)
    wait_until(lambda: "8\u00d78" in page.inner_text("#seen-title"))


# ---- the command


def test_it_answers_with_the_model_that_it_is_given(tmp_path):
    fastmlp.MLP([784, 7, 10], seed=0).save(tmp_path / "model.safetensors")
    with command("--model", str(tmp_path / "model.safetensors")) as (address, _):
        value = ask(f"{address}/state")[1]
    assert value["given"]
    assert value["model"] == [784, 7, 10]
    assert value["training"] is None


def refused(*flags):
    """Exit status and the one line of a command that does not begin."""
    process = start(*flags)
    said = process.communicate(timeout=120)[1]
    assert len(said.splitlines()) == 1
    return process.returncode, said.removeprefix("fastmlp.demo: error: ").strip()


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("--port", str(port)) == (
            2,
            f"--port: {port} of 127.0.0.1 is taken: choose another, or 0 for a free one",
        )


@pytest.mark.parametrize(
    ("flags", "status", "reason"),
    [
        (["--port", "x"], 2, "--port must be an integer from 0 to 65535, not 'x'"),
        (["--host", "x" * 70], 2, f"--host: '{'x' * 70}' is no address"),
        (["--host", "192.0.2.1"], 2, "--host, --port: 192.0.2.1, 7860: Cannot assign"),
        (["--model", "missing"], 2, "missing: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line(flags, status, reason):
    returned, line = refused(*flags)
    assert returned == status
    assert reason in line


def test_a_network_of_other_things_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    fastmlp.MLP([4, 2], seed=0).save(path)
    returned, line = refused("--model", str(path))
    assert returned == 2
    assert line == (
        f"--model: {path} must be a network of images, 784 or 64 inputs, and of classes, not 4 "
        "inputs and loss cross_entropy"
    )
