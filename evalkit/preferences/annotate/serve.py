"""Where the server listens, by which links raters reach it, and how it is set."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from urllib.parse import quote

import uvicorn

from evalkit.errors import InputError
from evalkit.preferences.annotate.desk import Desk
from evalkit.preferences.annotate.guard import Guard, is_loopback, key_for
from evalkit.preferences.annotate.server import make_app
from evalkit.preferences.annotate.settings import checked_name

SHORTEST = 16
"""Characters of a token."""
FAREWELL = 2
"""Seconds that answers on their way have when the server is to end."""


def check_access(host: str, token: str | None, raters: Sequence[str]) -> None:
    """Refuse to be open to a network without a secret. Raises `InputError`."""
    if token is not None and len(token) < SHORTEST:
        raise InputError(f"--token has {len(token)} characters; it needs {SHORTEST}, as of: openssl rand -hex 16")
    for rater in raters:
        checked_name("--rater", rater)
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} can be reached by other machines, which takes a secret: give one with --token or "
            "EVALKIT_ANNOTATE_TOKEN, as of: openssl rand -hex 16"
        )
    if token is not None and not raters:
        raise InputError("--token makes a link for each rater: name each with --rater")


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises `InputError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(f"--host {host}: {error.strerror}; name an interface of this machine") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        raise InputError(f"{host}:{port} cannot be listened on: {error.strerror}; choose another with --port") from None
    return made


def links(host: str, port: int, token: str | None, raters: Sequence[str]) -> dict[str, str]:
    """Rater -> their link; one for all, under an empty name, where nobody is named."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
    place = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    if not raters:
        return {"": place}
    keys = {rater: f"&key={key_for(token, rater)}" if token is not None else "" for rater in raters}
    # After the sign # nothing is sent to the server, so that no log on the way holds a key.
    return {rater: f"{place}#rater={quote(rater, safe='')}{key}" for rater, key in keys.items()}


def make_server(desk: Desk, guard: Guard) -> uvicorn.Server:
    """A server that is not at work yet."""
    config = uvicorn.Config(
        make_app(desk, guard),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=FAREWELL,
    )
    return uvicorn.Server(config)
