"""Prompts as a checkpoint sees them: base ones through a frame, tuned ones through their chat template.

What was rendered once is kept in the cache: a tokenizer takes seconds to load, and a second run needs none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from evalkit.checkpoints.adapters import tokenizer_folder
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.conversations import chat_turns, in_transcript, merged
from evalkit.checkpoints.spec import CheckpointSpec, Frame
from evalkit.errors import CheckpointError
from evalkit.plumbing.files import cache_folder, write_atomically
from evalkit.records import Prompt, Rendered

INTO_USER = "; `system_into_user: true` on the checkpoint puts the system turn before the first user turn's text"


def render(checkpoint: Checkpoint, spec: CheckpointSpec, prompts: Sequence[Prompt]) -> list[Rendered]:
    """Each prompt as the checkpoint sees it, with its token ids (none for a server, which tokenizes itself).

    Base checkpoints are asked through their frame, and the tokenizer adds its special tokens; tuned ones through their
    chat template, which writes its special tokens itself, so that none is added twice.
    Raises `CheckpointError` when there is no tokenizer, no chat template on a tuned checkpoint, or one that refuses.
    """
    if checkpoint.is_remote:
        _check_server(checkpoint, spec)
        return [_for_server(spec, checkpoint, prompt) for prompt in prompts]
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


def _asked_of_base(frame: Frame, prompt: Prompt) -> str:
    return in_transcript(frame, prompt.messages) if prompt.messages else in_frame(frame, prompt.text)


def _for_server(spec: CheckpointSpec, checkpoint: Checkpoint, prompt: Prompt) -> Rendered:
    if spec.is_framed:
        return Rendered(prompt.id, _asked_of_base(spec.frame, prompt), ())
    kwargs = json.dumps(spec.chat_template_kwargs, sort_keys=True) if spec.chat_template_kwargs else ""
    return Rendered(prompt.id, prompt.text, (), chat_turns(checkpoint.name, spec, prompt), kwargs)


def _check_server(checkpoint: Checkpoint, spec: CheckpointSpec) -> None:
    if spec.chat_template_kwargs and dict(checkpoint.served).get("owned_by") != "vllm":
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r}: chat_template_kwargs: only vLLM servers are known to hand them to the "
            f"chat template, and {checkpoint.location} does not say that it is one; leave them out"
        )


def _key(checkpoint: Checkpoint, spec: CheckpointSpec, prompts: Sequence[Prompt]) -> str:
    content: list[Any] = [
        checkpoint.fingerprint,
        spec.kind,
        spec.frame.model_dump(exclude={"transcript"}),
        spec.system,
        [prompt.text for prompt in prompts],
    ]
    if spec.is_framed and spec.kind != "base":
        content.append("in its frame")
    turns = [[(turn.role, turn.content) for turn in prompt.messages] for prompt in prompts]
    if any(turns) or spec.chat_template_kwargs or spec.system_into_user:
        content += [turns, spec.frame.transcript, spec.chat_template_kwargs, spec.system_into_user]
    decides = json.dumps([version("transformers"), version("tokenizers"), *content])
    return hashlib.sha256(decides.encode()).hexdigest()


def _tokenize(checkpoint: Checkpoint, spec: CheckpointSpec, prompts: Sequence[Prompt]) -> list[tuple[str, list[int]]]:
    tokenizer = load_tokenizer(checkpoint)
    if spec.is_framed:
        texts = [_asked_of_base(spec.frame, prompt) for prompt in prompts]
    else:
        _check_template(tokenizer, checkpoint, spec)
        texts = [_in_chat(tokenizer, checkpoint, spec, prompt) for prompt in prompts]
    return [(text, encode(tokenizer, text, spec.is_framed)) for text in texts]


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


def special_tokens_in(checkpoint: Checkpoint, texts: Sequence[str]) -> tuple[int, ...]:
    """The special tokens that the texts are written with, which decoding leaves out. Raises `CheckpointError`."""
    key = hashlib.sha256(json.dumps([version("transformers"), checkpoint.fingerprint, *texts]).encode()).hexdigest()
    note = cache_folder("special-tokens") / f"{key}.json"
    if not note.exists():
        tokenizer = load_tokenizer(checkpoint)
        ids = {token for text in texts for token in encode(tokenizer, text, add_special_tokens=False)}
        # Not every special token has a role that the tokenizer names; those without one are left out of texts too.
        added = {token for token, what in tokenizer.added_tokens_decoder.items() if what.special}
        write_atomically(note, json.dumps(sorted(ids & (added | set(tokenizer.all_special_ids)))).encode())
    return tuple(json.loads(note.read_text(encoding="utf-8")))


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


def _check_template(tokenizer: Any, checkpoint: Checkpoint, spec: CheckpointSpec) -> None:
    if not tokenizer.chat_template:
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r} is called tuned but has no chat template; "
            "say `kind: base` to ask it through a frame, or add a chat_template to its tokenizer"
        )
    for name in spec.chat_template_kwargs:
        # A template is silent about what it does not know.
        if not re.search(rf"\b{re.escape(name)}\b", str(tokenizer.chat_template)):
            raise CheckpointError(
                f"checkpoint {checkpoint.name!r}: chat_template_kwargs.{name}: its chat template reads nothing of this "
                "name; see to the spelling, or leave it out"
            )


def _in_chat(tokenizer: Any, checkpoint: Checkpoint, spec: CheckpointSpec, prompt: Prompt) -> str:
    from jinja2 import TemplateError

    turns = chat_turns(checkpoint.name, spec, prompt)
    try:
        text = _applied(tokenizer, spec, turns)
    except TemplateError as error:
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r}: its chat template refuses the prompt: {error} (prompt {prompt.id!r})"
            + (INTO_USER if _takes_merged(tokenizer, spec, turns) else "")
        ) from None
    role, content = turns[0]
    if role == "system" and content.strip() not in text:
        raise CheckpointError(
            f"checkpoint {checkpoint.name!r}: its chat template leaves out the system turn of prompt {prompt.id!r}"
            + INTO_USER
        )
    return text


def _applied(tokenizer: Any, spec: CheckpointSpec, turns: Sequence[tuple[str, str]]) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    made = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **spec.chat_template_kwargs
    )
    return cast(str, made)


def _takes_merged(tokenizer: Any, spec: CheckpointSpec, turns: Sequence[tuple[str, str]]) -> bool:
    """Whether the system turn is all that the chat template refuses."""
    from jinja2 import TemplateError

    if turns[0][0] != "system":
        return False
    try:
        _applied(tokenizer, spec, merged(turns))
    except TemplateError:
        return False
    return True


def encode(tokenizer: Any, text: str, add_special_tokens: bool) -> list[int]:
    """Token ids of a text that may be gone on with: no end of sequence behind it."""
    ids = cast(list[int], tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"])
    # Some tokenizers also close the text; an end-of-sequence before the completion would end the prompt's document.
    if add_special_tokens and ids and ids[-1] == tokenizer.eos_token_id and not text.endswith(tokenizer.eos_token):
        ids = ids[:-1]
    return ids
