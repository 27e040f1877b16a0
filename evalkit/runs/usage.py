"""What a request to a server took, in tokens: what servers say, and what shards keep of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server says that one request took, whatever came of it."""

    prompt_id: str
    draws: int
    """Completions of the prompt that came of it; 0 where its answer was of no use."""
    prompt_tokens: int
    """Of the request, once for all its draws."""
    completion_tokens: int
    """Of all its draws together."""
