"""The server of the page: its files, predictions, training; JSON, where ``error`` is one line."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable
from importlib.resources import files
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fastmlp.checks import shown
from fastmlp.data.errors import DataError
from fastmlp.demo.answers import MAX_UPLOAD, Answers, BusyError
from fastmlp.demo.choices import choice_of

MAX_CHOICE = 10_000
"""Bytes of a choice of a network."""

MAX_NAME = 100
"""Characters of a file's name that are shown."""

TYPES = {"index.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
HEADERS = {
    # The page takes nothing from elsewhere, and no other page shows it in a frame.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app(answers: Answers, host: str) -> ASGIApp:
    """The ASGI application; ``host`` is what the user has named, beside addresses and localhost."""

    async def predict(request: Request) -> Response:
        name = request.query_params.get("name", "the drawing")[:MAX_NAME]
        image = await _body(request, MAX_UPLOAD, name)
        drawn = request.query_params.get("drawn") == "1"
        return JSONResponse(await run_in_threadpool(answers.predict, image, name, drawn))

    async def train(request: Request) -> Response:
        body = await _body(request, MAX_CHOICE, "the choice")
        try:
            values = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("the choice must be JSON") from None
        return JSONResponse(answers.start(choice_of(values)).report(), 202)

    async def cancel(request: Request) -> Response:
        if answers.training is not None:
            answers.training.cancel()
        return JSONResponse({})

    async def state(request: Request) -> Response:
        return JSONResponse(answers.report())

    async def training(request: Request) -> Response:
        current = answers.training
        return JSONResponse(None if current is None else current.report())

    async def picture(request: Request) -> Response:
        current = answers.training
        content = current and current.pictures.get(request.path_params["name"])
        if content is None:
            raise HTTPException(404)
        return Response(content, media_type="image/png", headers=HEADERS)

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in TYPES:
            raise HTTPException(404)
        content = (files("fastmlp.demo") / "page" / name).read_bytes()
        return Response(content, media_type=TYPES[name], headers=HEADERS)

    app = Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/train", train, methods=["POST"]),
            Route("/cancel", cancel, methods=["POST"]),
            Route("/state", state),
            Route("/training", training),
            Route("/pictures/{name}", picture),
            Route("/", page),
            Route("/{name}", page),
        ],
        exception_handlers={
            HTTPException: _http_error,
            DataError: _said(422),
            ValueError: _said(422),
            BusyError: _said(409),
            ImportError: _said(500),
            MemoryError: _said(500),
            Exception: _unforeseen,
        },
    )
    return _own_pages_only(app, host)


async def _body(request: Request, limit: int, what: str) -> bytes:
    """The body, which is not read beyond the limit."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise HTTPException(413, f"{what} has more than {limit / 2**20:.3g} MB")
    return bytes(body)


def _said(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(request: Request, error: Exception) -> Response:
        line = " ".join(str(error).split()) or type(error).__name__
        return JSONResponse({"error": line}, status)

    return handler


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def _unforeseen(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed: its terminal says how"}, 500)


def _own_pages_only(app: ASGIApp, host: str) -> ASGIApp:
    """Refuse requests of other web pages.

    A page whose name an attacker lets point at 127.0.0.1 sends that name as Host; addresses cannot
    be misled. A page that only sends here has another Origin.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            called = request.headers.get("host", "")
            origin = request.headers.get("origin")
            foreign = origin is not None and origin.partition("://")[2] != called
            if foreign or not _is_own(called, host):
                line = f"the page is at an address, localhost or {host}, not at {shown(called)}"
                if foreign:
                    line = "another web page may not use this one"
                response = JSONResponse({"error": line}, 403)
                await response(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded


def _is_own(called: str, host: str) -> bool:
    try:
        name = urlsplit(f"//{called}").hostname or ""
        if name in ("localhost", host.lower(), socket.gethostname().lower()):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
