"""Prompts of several turns as a tuned checkpoint reads them: through its chat template, its answer left open."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import TemplateError

from evalkit.checkpoints.folder import context_length
from evalkit.checkpoints.rendering import encode
from evalkit.errors import InputError
from evalkit.training.models import Policy


def turns_ids(policy: Policy, turns: Sequence[tuple[str, str]], max_tokens: int) -> tuple[int, ...]:
    """Token ids of a prompt's (role, text)s; the checkpoint's own system message goes before them.

    Raises `InputError` where the template refuses a role, and where no room is left for `max_tokens`.
    """
    system = [("system", policy.spec.system)] if policy.spec.system and turns[0][0] != "system" else []
    messages = [{"role": role, "content": text} for role, text in [*system, *turns]]
    try:
        text = policy.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise InputError(f"the chat template refuses the conversation {turns[0][1][:60]!r}: {error}") from None
    ids = tuple(encode(policy.tokenizer, str(text), False))
    room = context_length(policy.checkpoint)
    if room is not None and len(ids) + max_tokens > room:
        raise InputError(
            f"the conversation {turns[0][1][:60]!r} takes {len(ids)} tokens, which leaves no room for max_tokens "
            f"{max_tokens} in the policy's context of {room}; shorten it or lower max_tokens"
        )
    return ids
