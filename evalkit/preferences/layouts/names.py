"""Names of the layouts: what `--format` takes."""

from __future__ import annotations

from typing import Literal, get_args

Layout = Literal["own", "messages", "conversations", "hh", "arena", "sharegpt", "prism"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
