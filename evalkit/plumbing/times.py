"""Moments as manifests write them and as people read them. All are UTC."""

from __future__ import annotations

import datetime

from evalkit.plumbing.arrays import JSON


def moment(text: JSON) -> datetime.datetime | None:
    """A time of the manifest, in UTC; None where it is none."""
    try:
        time = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        return time.astimezone(datetime.UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def day_and_time(time: datetime.datetime) -> str:
    return f"{time.day} {time:%B %Y, %H:%M:%S} UTC"


def span(first: datetime.datetime, last: datetime.datetime) -> str:
    """When something was done that took a while."""
    return f"on {day_and_time(first)}" if first == last else f"from {day_and_time(first)} to {day_and_time(last)}"
