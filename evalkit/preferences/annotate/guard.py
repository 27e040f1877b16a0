"""Who may ask the page's server for anything: the pages that it served itself, and raters who have its links."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from evalkit.preferences.annotate.desk import Refused

LOOPBACK = ("localhost", "127.0.0.1", "::1")
LARGEST = 64 * 1024
"""Bytes that a request may bring: a reason of a few pages."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer: no script but ours runs, nothing is fetched from elsewhere, no other page shows this one."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def key_for(token: str, rater: str) -> str:
    """The secret in a rater's link: made with the owner's token, and good for that name alone."""
    return hmac.new(token.encode(), rater.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class Guard:
    """What a request must bring."""

    host: str
    """The interface that the server listens on."""
    token: str | None = None
    """The owner's; None where everyone on this machine may answer."""
    raters: Collection[str] = ()
    """Who may answer; empty: whoever gives a name."""

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refuse what another site's page sends, and names that another site made its own. Raises `Refused`."""
        host = headers.get("host", "")
        if not self._is_ours(_name(f"//{host}")):
            raise Refused(
                421, "This server does not answer to that name; open the link that `evalkit annotate` printed."
            )
        origin = headers.get("origin")
        if origin is not None and (urlsplit(origin).scheme not in ("http", "https") or _place(origin) != host.lower()):
            raise Refused(403, "Another site's page may not answer here.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "Another site's page may not answer here.")

    def check_rater(self, rater: str, authorization: str | None) -> None:
        """Refuse who is not the rater that they say. Raises `Refused`."""
        if self.token is not None:
            given = (authorization or "").removeprefix("Bearer ").encode()
            if not hmac.compare_digest(given, key_for(self.token, rater).encode()):
                raise Refused(401, "This link is not valid; ask whoever sent it to you for a new one.")
        if self.raters and rater not in self.raters:
            raise Refused(403, f"{rater!r} is not among the raters of this task.")

    def _is_ours(self, name: str) -> bool:
        """Whether the name of a host is one of this server. A page that turned its own name into our address (DNS
        rebinding) comes with that name, never with an address.
        """
        if name in LOOPBACK or name == self.host.lower():
            return True
        if is_loopback(self.host):
            return False
        return _is_address(name) or name in (socket.gethostname().lower(), socket.getfqdn().lower())


def _name(url: str) -> str:
    """The host of an address, without its port; empty where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
        return (parts.hostname or "").lower() if parts.username is None and not parts.path else ""
    except ValueError:
        return ""


def _place(origin: str) -> str:
    """Host and port, as the header `Host` has them."""
    return urlsplit(origin).netloc.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
