"""Moments as manifests write them and as people read them. All are UTC."""

from __future__ import annotations

import datetime

from evalkit.plumbing.arrays import JSON


def moment(text: JSON) -> datetime.datetime | None:
    """A time of the manifest, in UTC; None where it is none."""
    try:
        found = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.astimezone(datetime.UTC) if found and found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def day_and_time(found: datetime.datetime) -> str:
    return f"{found.day} {found:%B %Y, %H:%M:%S} UTC"


def span(first: datetime.datetime, last: datetime.datetime) -> str:
    """When something was done that took a while."""
    return f"on {day_and_time(first)}" if first == last else f"from {day_and_time(first)} to {day_and_time(last)}"
