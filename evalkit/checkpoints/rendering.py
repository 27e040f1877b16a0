"""Prompts as a checkpoint sees them: base ones through a frame, tuned ones through their chat template.

What was rendered once is kept in the cache: a tokenizer takes seconds to load, and a second run needs none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from evalkit.checkpoints.adapters import tokenizer_folder
from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.errors import CheckpointError
from evalkit.plumbing.files import cache_folder, write_atomically
from evalkit.records import Checkpoint, Prompt, Rendered


def render(checkpoint: Checkpoint, spec: CheckpointSpec, prompts: Sequence[Prompt]) -> list[Rendered]:
    """Each prompt as the checkpoint sees it, with its token ids (none for a server, which tokenizes itself).

    Base checkpoints are asked through their frame, and the tokenizer adds its special tokens; tuned ones through their
    chat template, which writes its special tokens itself, so that none is added twice.
    Raises `CheckpointError` when there is no tokenizer, or no chat template on a tuned checkpoint.
    """
    if checkpoint.is_remote:
        return [_for_server(spec, prompt) for prompt in prompts]
    note = cache_folder("rendered") / f"{_key(checkpoint, spec, prompts)}.json"
    if note.exists():
        pairs = json.loads(note.read_text(encoding="utf-8"))
    else:
        pairs = _tokenize(checkpoint, spec, prompts)
        write_atomically(note, json.dumps(pairs).encode())
    return [Rendered(prompt.id, text, tuple(ids)) for prompt, (text, ids) in zip(prompts, pairs, strict=True)]


def in_frame(frame: Frame, prompt: str) -> str:
    """A base checkpoint's text for `prompt`: worked examples, if any, then the prompt with its answer left open."""
    shots = [frame.template.replace("{prompt}", shot.prompt) + " " + shot.completion for shot in frame.examples]
    return "\n\n".join([*shots, frame.template.replace("{prompt}", prompt)])


def _for_server(spec: CheckpointSpec, prompt: Prompt) -> Rendered:
    if spec.kind == "base":
        return Rendered(prompt.id, in_frame(spec.frame, prompt.text), ())
    messages = tuple((message["role"], message["content"]) for message in _messages(spec, prompt.text))
    return Rendered(prompt.id, prompt.text, (), messages)


def _key(checkpoint: Checkpoint, spec: CheckpointSpec, prompts: Sequence[Prompt]) -> str:
    asked = [
        checkpoint.fingerprint,
        spec.kind,
        spec.frame.model_dump(),
        spec.system,
        [prompt.text for prompt in prompts],
    ]
    decides = json.dumps([version("transformers"), version("tokenizers"), *asked])
    return hashlib.sha256(decides.encode()).hexdigest()


def _tokenize(checkpoint: Checkpoint, spec: CheckpointSpec, prompts: Sequence[Prompt]) -> list[tuple[str, list[int]]]:
    tokenizer = load_tokenizer(checkpoint)
    if spec.kind == "base":
        texts = [in_frame(spec.frame, prompt.text) for prompt in prompts]
    else:
        texts = [_in_chat(tokenizer, checkpoint, spec, prompt.text) for prompt in prompts]
    return [(text, encode(tokenizer, text, spec.kind == "base")) for text in texts]


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """A checkpoint's tokenizer. Raises `CheckpointError`."""
    from transformers import AutoTokenizer

    folder = tokenizer_folder(checkpoint)
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=checkpoint.trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r}: no tokenizer could be loaded from {folder}: {reason}"
        ) from None


def vocabulary_hash(checkpoint: Checkpoint) -> str:
    """Equal where token ids stand for the same tokens, but for those that were added; empty for a server."""
    if checkpoint.is_remote:
        return ""
    path = Path(checkpoint.location) / "tokenizer.json"
    if path.is_file():
        vocabulary = json.loads(path.read_text(encoding="utf-8"))["model"].get("vocab")
    else:
        vocabulary = load_tokenizer(checkpoint).get_vocab()
    return hashlib.sha256(json.dumps(vocabulary, sort_keys=True).encode("utf-8")).hexdigest()[:12]


def _in_chat(tokenizer: Any, checkpoint: Checkpoint, spec: CheckpointSpec, prompt: str) -> str:
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r} is called tuned but has no chat template; "
            "say `kind: base` to ask it through a frame, or add a chat_template to its tokenizer"
        )
    try:
        return cast(
            str, tokenizer.apply_chat_template(_messages(spec, prompt), tokenize=False, add_generation_prompt=True)
        )
    except TemplateError as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r}: its chat template refuses the prompt: {error}"
        ) from None


def _messages(spec: CheckpointSpec, prompt: str) -> list[dict[str, str]]:
    system = [{"role": "system", "content": spec.system}] if spec.system else []
    return [*system, {"role": "user", "content": prompt}]


def encode(tokenizer: Any, text: str, add_special_tokens: bool) -> list[int]:
    """Token ids of a text that may be gone on with: no end of sequence behind it."""
    ids = cast(list[int], tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"])
    # Some tokenizers also close the text; an end-of-sequence before the completion would end the prompt's document.
    if add_special_tokens and ids and ids[-1] == tokenizer.eos_token_id and not text.endswith(tokenizer.eos_token):
        ids = ids[:-1]
    return ids
