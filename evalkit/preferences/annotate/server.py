"""The server of the page: four calls, each a JSON object, and three files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evalkit.errors import StoreError
from evalkit.plumbing.prose import showable
from evalkit.preferences.annotate.desk import Answer, Desk, Refused, Said
from evalkit.preferences.annotate.guard import HEADERS, LARGEST, Guard
from evalkit.preferences.annotate.settings import LONGEST_NAME, NAME

PAGE = Path(__file__).with_name("page")
FILES = {
    "/": ("annotate.html", "text/html"),
    "/annotate.css": ("annotate.css", "text/css"),
    "/annotate.js": ("annotate.js", "text/javascript"),
}
"""Path -> file and its type; there are no others, whatever a path looks like."""
REASON = 2000
"""Characters of a reason."""
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME, pattern=NAME)]

Number = Annotated[int, Field(ge=0, lt=2**53)]
"""A whole number that JavaScript and SQLite can hold too."""


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rater: Name


class _Sign(_Call):
    seat: Number


class _Undo(_Sign):
    opening: Number


class _Answer(_Undo):
    choice: Said
    seconds: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    strength: Literal[1, 2, 3] | None = None
    reason: Annotated[str, Field(max_length=REASON)] = ""

    @property
    def answer(self) -> Answer:
        reason = showable(self.reason.strip())
        return Answer(self.seat, self.opening, self.choice, self.seconds, self.strength, reason)


Call = TypeVar("Call", bound=_Call)


def make_app(desk: Desk, guard: Guard) -> Starlette:
    """The page and its calls."""

    def enter(call: _Call) -> dict[str, Any]:
        return {"task": desk.settings.shown()} | desk.enter(call.rater)

    def answer(call: _Answer) -> dict[str, Any]:
        return desk.answer(call.rater, call.answer)

    def undo(call: _Undo) -> dict[str, Any]:
        return desk.undo(call.rater, call.seat, call.opening)

    def sign(call: _Sign) -> dict[str, Any]:
        return desk.sign(call.rater, call.seat)

    routes = [
        *(Route(path, _file(*file), methods=["GET"]) for path, file in FILES.items()),
        Route("/api/enter", _call(guard, _Call, enter), methods=["POST"]),
        Route("/api/answer", _call(guard, _Answer, answer), methods=["POST"]),
        Route("/api/undo", _call(guard, _Undo, undo), methods=["POST"]),
        Route("/api/sign", _call(guard, _Sign, sign), methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Guarded, guard=guard)],
        exception_handlers={HTTPException: _not_served, Refused: _refused, StoreError: _unsaved},
    )
    app.router.redirect_slashes = False
    return app


class _Guarded:
    """Refuses what comes from elsewhere before anything looks at it, and puts our headers on every answer."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        try:
            self._guard.check_origin(Request(scope).headers)
        except Refused as refused:
            await _told(refused.status, str(refused))(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = (PAGE / name).read_bytes()

    async def serve(_: Request) -> Response:
        return Response(content, media_type=kind)

    return serve


def _call(
    guard: Guard, kind: type[Call], act: Callable[[Call], dict[str, Any]]
) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(
                415, "Calls are JSON: Content-Type: application/json."
            )  # which other sites' forms cannot send
        call = _parsed(kind, await _body(request))
        guard.check_rater(call.rater, request.headers.get("authorization"))
        return JSONResponse(await run_in_threadpool(act, call))

    return serve


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise Refused(413, f"A request has at most {LARGEST // 1024} KiB.")
    return body


def _parsed(kind: type[Call], body: bytes) -> Call:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise Refused(422, f"{where}: {problem['msg']}" if where else problem["msg"]) from None


def _told(status: int, text: str) -> JSONResponse:
    # A connection whose request was not read to its end cannot carry another.
    return JSONResponse({"error": text}, status, {"Connection": "close"} if status == 413 else None)


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return _told(refused.status, str(refused))


async def _not_served(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": "There is nothing here."}, error.status_code, error.headers)


async def _unsaved(_: Request, error: Exception) -> Response:
    return _told(503, f"Not saved: {error}")
