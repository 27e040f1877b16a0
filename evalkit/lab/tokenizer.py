"""A word-level tokenizer for the lab, saved as an ordinary Hugging Face folder.

A token is a word with the space before it, a punctuation mark, or a newline, so that decoding is joining
and every text of the grammar comes back exactly. Whatever the grammar cannot say becomes <unk>.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from evalkit.lab.grammar import Grammar, Slot, document

PAD, UNK, BOS, EOS = SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
PIECE = r" ?[A-Za-z]+(?:'[a-z]+)?| ?[0-9]+| ?[^\sA-Za-z0-9]|\s"

# The frame of every document, with exactly one <s>; a completion ends with </s>. `trim` because the space
# before a completion belongs to the frame.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}
        {{- 'Prompt: ' + message['content'] | trim + '\\nAnswer:' }}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + message['content'] | trim + eos_token }}
    {%- else %}
        {{- raise_exception('the lab knows only the roles user and assistant') }}
    {%- endif %}
{%- endfor %}
"""


def vocabulary(grammar: Grammar) -> list[str]:
    """Return the special tokens and then every piece that a document of the grammar can hold, sorted."""
    return [*SPECIAL, *sorted({piece for text in fragments(grammar) for piece in re.findall(PIECE, text)})]


def fragments(grammar: Grammar) -> Iterator[str]:
    """Yield texts that together hold every piece: each branch with its slots at every option in turn."""
    for prompt in grammar.prompts:
        for branch in prompt.branches:
            for width in range(max((len(slot.options) for slot in branch.slots), default=1)):
                filled = (
                    part.options[width % len(part.options)] if isinstance(part, Slot) else part for part in branch.parts
                )
                yield document(prompt.text, "".join(filled))


def build(grammar: Grammar, *, chat: bool) -> PreTrainedTokenizerFast:
    """Return the lab's tokenizer; with `chat` it carries the chat template of the tuned checkpoints."""
    ids = {piece: index for index, piece in enumerate(vocabulary(grammar))}
    tokenizer = Tokenizer(WordLevel(ids, unk_token=UNK))
    tokenizer.pre_tokenizer = Split(Regex(PIECE), behavior="isolated")
    tokenizer.decoder = Fuse()
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, ids[BOS])]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        bos_token=BOS,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    return fast
