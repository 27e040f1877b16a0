"""Texts as they follow a rendered prompt: their tokens, in the spellings that a reader takes for the same.

What was tokenized once is kept in the cache, as prompts are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.rendering import encode, load_tokenizer
from evalkit.plumbing.array_cache import key_of
from evalkit.plumbing.files import cache_folder, write_atomically
from evalkit.records import Rendered

Tokens = tuple[int, ...]


def continuations(
    checkpoint: Checkpoint, prompts: Sequence[Rendered], texts: Sequence[Sequence[str]]
) -> list[list[Tokens]]:
    """For each prompt, the token ids that each of its texts adds to it; () for one that the tokenizer cannot write.

    A text is put right behind the prompt; a space before it is the caller's. Raises `CheckpointError`.
    """
    content = [
        [prompt.text, prompt.token_ids, list(prompt_texts)] for prompt, prompt_texts in zip(prompts, texts, strict=True)
    ]
    versions = [version("transformers"), version("tokenizers")]
    key = key_of({"tokenizer": checkpoint.fingerprint, "kind": checkpoint.kind, "versions": versions, "texts": content})
    note = cache_folder("continuations") / f"{key}.json"
    if note.exists():
        token_ids = json.loads(note.read_text(encoding="utf-8"))
    else:
        tokenizer = load_tokenizer(checkpoint)
        token_ids = [
            [_added(tokenizer, checkpoint, prompt, text) for text in prompt_texts]
            for prompt, prompt_texts in zip(prompts, texts, strict=True)
        ]
        write_atomically(note, json.dumps(token_ids).encode())
    return [[tuple(ids) for ids in prompt_ids] for prompt_ids in token_ids]


def _added(tokenizer: Any, checkpoint: Checkpoint, prompt: Rendered, text: str) -> list[int]:
    """The tokens as they come in one text with the prompt, or of the text alone where its first one reaches into it."""
    together = encode(tokenizer, prompt.text + text, checkpoint.kind == "base")
    head = len(prompt.token_ids)
    alone = encode(tokenizer, text, add_special_tokens=False)
    for ids in [together[head:], alone] if tuple(together[:head]) == prompt.token_ids else [alone]:
        whole = tokenizer.decode(
            [*prompt.token_ids, *ids], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        # An unknown word, or a tokenizer that changes the text, would count what is not this text.
        if ids and whole.endswith(text):
            return ids
    return []
