"""The command ``python -m fastmlp.demo``."""

from __future__ import annotations

import argparse
import errno
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence

from fastmlp.checks import parse_integer
from fastmlp.command import DONE, FAILED, INTERRUPTED, Command, model_of_argument, open_streams
from fastmlp.data import load_default_dataset
from fastmlp.model import MLP

COMMAND = Command("fastmlp.demo")
PORT = 7860
CLOSING = 2
"""Seconds that pages have to end, after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the process); the exit status."""
    open_streams()
    parser = COMMAND.parser(
        "[options]",
        "Open a page to draw digits on, and to watch a network learn them. Ctrl-C ends it.",
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="the network that answers at first (default: one that is trained now)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address or name to listen at (default: %(default)s, which no other machine reaches)",
    )
    parser.add_argument(
        "--port", type=_port, default=PORT, help="default: %(default)s; 0 takes a free one"
    )
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")
    flags = parser.parse_args(arguments)
    return COMMAND.run(lambda: run(flags))


def _port(text: str) -> int:
    try:
        return parse_integer("--port", text, 0, 65535)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(flags: argparse.Namespace) -> int:
    """Serve until Ctrl-C; the exit status."""
    try:
        import uvicorn

        from fastmlp.demo.app import make_app
    except ImportError as error:
        raise ImportError(f"the demo needs more: pip install 'fastmlp[demo]': {error}") from None
    from fastmlp.demo.answers import Answers
    from fastmlp.demo.choices import Choice

    model = None if flags.model is None else _load(flags.model)
    listener = _listener(flags.host, flags.port)
    with listener:
        data, reason = load_default_dataset()
        if reason is not None:
            COMMAND.say(f"MNIST cannot be had, so this trains on {data.name}: {reason}")
        answers = Answers(data, reason, model)
        if model is None:
            COMMAND.say(f"training a network on {data.name} (the first time compiles, 10 s) ...")
            training = answers.start(Choice())
            while not training.finished.wait(0.1):  # in pieces, for Ctrl-C
                pass
            if training.error is not None:
                return COMMAND.fail(training.error, FAILED)
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(answers, flags.host),
                log_level="warning",
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=CLOSING,
            )
        )
        address = _address(flags.host, listener)
        COMMAND.say(f"{address} is the page; Ctrl-C ends it")
        if not flags.no_browser:
            # A browser in a terminal would hold up the server.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has closed all, and passes it on
            return INTERRUPTED
        finally:
            if answers.training is not None:
                answers.training.cancel()
                answers.training.finished.wait(CLOSING)
    return DONE


def _load(path: str) -> MLP:
    from fastmlp.images import FORMATS, format_of

    model = model_of_argument(path)
    if format_of(model.layers[0]) is None or model.loss.targets != "classes":
        sizes = " or ".join(str(known.n_features) for known in FORMATS)
        raise ValueError(
            f"--model: {path} must be a network of images, {sizes} inputs, and of classes, not "
            f"{model.layers[0]} inputs and loss {model.loss.name}"
        )
    return model


def _listener(host: str, port: int) -> socket.socket:
    """A socket that waits for pages, before any work is done."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(
            f"--host: {host!r} is no address or name of this machine: {error}"
        ) from None
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"--port: {port} of {host} is taken: choose another, or 0 for a free one"
            ) from None
        raise ValueError(f"--host, --port: {host}, {port}: {error.strerror}") from None


def _address(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


if __name__ == "__main__":
    sys.exit(main())
