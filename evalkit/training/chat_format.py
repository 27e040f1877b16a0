"""An exchange as a reward model reads it: prompt, completion, end of sequence, and nothing behind that end.

Other tools read it so only if the folder tells them: the chat template writes these very tokens, and the padding token
is not the end-of-sequence token, because Hugging Face classifiers read the last token that is not padding.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.training.output.folder import TOKENIZER_FILES, frame_as_chat

NEW_PAD = "<pad>"


def exchange_template(spec: CheckpointSpec, tokenizer: PreTrainedTokenizerBase) -> str:
    """A chat template that writes an exchange as training reads it.

    For a base checkpoint that is its frame. For a tuned one it is the checkpoint's own template with its answer left
    open, as the policy is asked, then the completion and the end: what the template itself would write around or
    behind an answer, no policy's completion has.
    """
    if spec.kind == "base":
        return frame_as_chat(spec, tokenizer)
    template = cast(str, cast(Any, tokenizer).get_chat_template()).removesuffix("\n")
    system = json.dumps([{"role": "system", "content": spec.system}] if spec.system else [], ensure_ascii=False)
    opening = (
        "{% set answer = messages[-1]['content'] | trim %}"
        f"{{% set messages = {system} + messages[:-1] %}}"
        f"{_MERGED if spec.system_into_user else ''}"
        "{% set add_generation_prompt = true %}"
    )
    return opening + template + "{{ answer + " + json.dumps(str(tokenizer.eos_token), ensure_ascii=False) + " }}"


_MERGED = (
    "{% if messages[0]['role'] == 'system' %}{% set messages = [{'role': messages[1]['role'], 'content': "
    "messages[0]['content'] + '\\n\\n' + messages[1]['content']}] + messages[2:] %}{% endif %}"
)
"""The system turn as the beginning of the first user turn, as `checkpoints.conversations.merged` has it."""


def template_ids(
    tokenizer: PreTrainedTokenizerBase, template: str, prompt: str | Sequence[tuple[str, str]], completion: str
) -> list[int]:
    """Token ids of an exchange as any tool makes them from the chat template; `prompt` is a text, or (role, text)s."""
    turns = [("user", prompt)] if isinstance(prompt, str) else prompt
    messages = [{"role": role, "content": text} for role, text in [*turns, ("assistant", completion)]]
    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
    return list(cast(Sequence[int], tokenizer(text, add_special_tokens=False)["input_ids"]))


def write_reader(
    source: Path, folder: Path, tokenizer: PreTrainedTokenizerBase, template: str, classifier: PreTrainedModel
) -> None:
    """Fill `folder` with the `source` checkpoint's configuration and tokenizer, made to read exchanges.

    The classifier's configuration names the same padding token; where the vocabulary has none to spare, both get a new
    one, behind all others.
    """
    for pattern in (*TOKENIZER_FILES, "config.json"):
        for file in source.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    tokenizer = copy.deepcopy(tokenizer)
    pad = _spare_token(tokenizer)
    if pad is None:
        pad = NEW_PAD
        tokenizer.add_special_tokens({"pad_token": pad})
        cast(Any, tokenizer).backend_tokenizer.save(str(folder / "tokenizer.json"))
        if len(tokenizer) > classifier.get_input_embeddings().num_embeddings:
            classifier.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    classifier.config.get_text_config().pad_token_id = tokenizer.convert_tokens_to_ids(pad)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _amend(folder / "tokenizer_config.json", {"pad_token": pad, "padding_side": "right"})
    if (folder / "special_tokens_map.json").exists():
        _amend(folder / "special_tokens_map.json", {"pad_token": pad})


def _spare_token(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """A special token, other than the end's, to pad with: the padding token, or one that stands in no completion."""
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad is not None and pad != end:
        return str(tokenizer.pad_token)
    added: dict[int, Any] = cast(Any, tokenizer).added_tokens_decoder
    special = [str(token) for index, token in sorted(added.items()) if token.special and index != end]
    return min(special, key=lambda token: "pad" not in token.lower(), default=None)


def _amend(path: Path, changes: dict[str, Any]) -> None:
    settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    settings.pop("chat_template", None)
    path.write_text(json.dumps(settings | changes, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
