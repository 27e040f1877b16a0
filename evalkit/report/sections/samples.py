"""Completions packed for the page's sample browser: one compressed block a prompt, opened when it is looked at.

Frequent words are one character each before a block is compressed: each block is compressed for itself, so that it can
be opened for itself, and would otherwise spell the same words again. On 500 prompts x 64 completions x 6 arms
(`bench/report_page.py`) this takes a fifth off the blocks.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.analysis.shown import shown_of
from evalkit.plumbing.arrays import JSON, is_number
from evalkit.plumbing.progress import QUIET, Listener
from evalkit.records import Completion, Fault, Group, Prompt
from evalkit.report.content.content import ReportContent, Scores
from evalkit.report.html.render import holdable
from evalkit.runs.stored_groups import prompts_of
from evalkit.runs.told import FAULTS

MAX_BYTES = 30_000_000
"""A page above some 40 MB is slow to open; blocks beyond this are left out, and the page says so."""
FIRST, LAST = "\ue000", "\uf8ff"
"""Unicode's characters for private use stand for words."""
WORD = re.compile(f" ?\\w+|[{FIRST}-{LAST}]")
WITHHELD = "(withheld by the provider)"
"""In the place of a completion without a word of answer or thinking."""
NOT_MEASURED: Mapping[Fault, str] = {**FAULTS, "surplus": "more than needed"}
"""Why an answer of a list is not measured, in words."""
FEWEST = 4
"""Uses from which a word is worth its place in the page's list."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What the browser lists (`prompts`) and what it opens on demand (`blocks`, one a prompt)."""

    prompts: tuple[JSON, ...]
    blocks: tuple[str, ...]
    """JSON in UTF-16 with words as characters, gzip and base64; empty where there is nothing to show or no room."""
    words: tuple[str, ...]
    """What the characters from `FIRST` on stand for."""
    left_out: int
    """Prompts whose completions did not fit."""
    shown: int | None
    """Of each prompt's completions under an arm so many are in its block, the first ones; None: all."""


def pack(content: ReportContent, tell: Listener = QUIET) -> Samples:
    """Group identical completions and compress them prompt by prompt, in the summary's order of prompts."""
    prompts, texts, words = _gathered(content, tell)
    codes = {word: chr(ord(FIRST) + number) for number, word in enumerate(words)}
    blocks, left_out, used = [], 0, 0
    tell.stage("compress completions", len(texts))
    for text in texts:
        block = _compress(WORD.sub(lambda word: codes.get(word[0], word[0]), text)) if text else ""
        used += len(block)
        if used > MAX_BYTES:
            left_out, block = left_out + 1, ""
        blocks.append(block)
        tell.advance(1)
    return Samples(tuple(prompts), tuple(blocks), words, left_out, shown_of(content.summary))


def _gathered(content: ReportContent, tell: Listener) -> tuple[list[JSON], list[str], tuple[str, ...]]:
    """Of each prompt what is listed, and its completions as JSON; and the words that are frequent in these."""
    places = {
        arm: {prompt.id: index for index, prompt in enumerate(prompts_of(groups))}
        for arm, groups in content.groups.items()
    }
    shown = shown_of(content.summary)
    prompts, texts = [], []
    uses: Counter[str] = Counter()
    tell.stage("gather completions", len(content.summary.prompts))
    for prompt_id in content.summary.prompts:
        indices = {arm: of_arm[prompt_id] for arm, of_arm in places.items() if prompt_id in of_arm}
        by_arm = {arm: (index, content.groups[arm][index]) for arm, index in indices.items()}
        prompts.append(_entry(prompt_id, [group.prompt for _, group in by_arm.values()]))
        texts.append(_json(_block(prompt_id, by_arm, content, shown)) if by_arm else "")
        uses.update(WORD.findall(texts[-1]))
        tell.advance(1)
    return prompts, texts, _frequent_words(uses)


def _entry(prompt_id: str, prompts: Sequence[Prompt]) -> JSON:
    if not prompts:
        return {"id": prompt_id, "text": "", "tags": []}
    prompt = prompts[0]
    return {
        "id": prompt_id,
        "text": prompt.text,
        "tags": list(prompt.tags),
        "answer": prompt.answer,
        "references": list(prompt.references),
        "choices": {} if prompt.opinion else dict(prompt.choices),
        **({"valid": prompt.valid} if prompt.valid else {}),
        **({"turns": [[turn.role, turn.content] for turn in prompt.messages]} if prompt.messages else {}),
    }


def _block(prompt_id: str, by_arm: Mapping[str, tuple[int, Group]], content: ReportContent, shown: int | None) -> JSON:
    meanings = content.figure_data.meanings
    return {
        arm: {
            "rendered": content.rendered.get(arm, {}).get(prompt_id),
            "scores": list(scores := _scores(content.scores, arm, index)),
            "classes": list(
                _classes(
                    group.completions[:shown],
                    list(scores.values()),
                    meanings.classes.get(arm, {}).get(prompt_id, ()) if meanings else (),
                )
            ),
        }
        | _not_measured(group, shown)
        for arm, (index, group) in by_arm.items()
    }


def _not_measured(group: Group, shown: int | None) -> dict[str, JSON]:
    """What came to no answer; and what of lists is not measured: reason, how often, texts."""
    without = group.unfinished[:shown]
    unfinished = [_without_answer(one) for one in without if one.item is None or one.item.fault is None]
    faulty: dict[Fault, list[str]] = defaultdict(list)
    for one in without:
        if one.item is not None and one.item.fault is not None:
            faulty[one.item.fault].append(one.text)
    lost: list[JSON] = [
        [NOT_MEASURED[fault], len(texts), [text for text in texts if text]] for fault, texts in faulty.items()
    ]
    return ({"unfinished": unfinished} if unfinished else {}) | ({"lost": lost} if lost else {})


def _without_answer(completion: Completion) -> str:
    """What there is of a completion that came to no answer."""
    return WITHHELD if completion.thinking is None else completion.thinking


def _scores(scores: Scores, arm: str, index: int) -> dict[str, Sequence[float | None]]:
    return {name: arms[arm][index] for name, arms in scores.items() if arm in arms and index < len(arms[arm])}


def _classes(
    completions: Sequence[Completion], scores: Sequence[Sequence[float | None]], meanings: Sequence[int]
) -> Iterable[JSON]:
    """Identical texts together, the most frequent first: text, count, how many were cut off, mean scores, meaning,
    what was thought before each, the probabilities that were stated of it.

    The meaning is left out where completions were not divided by it, the thinking where there was none, the
    probabilities where none was stated.
    """
    samples: dict[str, list[int]] = defaultdict(list)
    for sample, completion in enumerate(completions):
        samples[completion.text.strip()].append(sample)
    for text, members in sorted(samples.items(), key=lambda item: -len(item[1])):
        cut = sum(completions[sample].finish_reason == "length" for sample in members)
        means = [_mean(values, members) for values in scores]
        meaning = list(meanings[members[0] : members[0] + 1])
        thoughts = [thought for sample in members if (thought := completions[sample].thinking) is not None]
        row: list[JSON] = [text, len(members), cut, means, *meaning]
        stated = [item.probability for sample in members if (item := completions[sample].item) is not None]
        chances = [probability for probability in stated if probability is not None]
        if thoughts or chances:
            row += [thoughts] if meaning else [None, thoughts]
        if chances:
            row.append(chances)
        yield row


def _mean(values: Sequence[float | None], samples: Sequence[int]) -> float | None:
    known = [value for sample in samples if sample < len(values) and is_number(value := values[sample])]
    return float(f"{sum(known) / len(known):.4g}") if known else None


def _frequent_words(uses: Counter[str]) -> tuple[str, ...]:
    """Each with the space before it; and whatever stands in the texts among the characters for private use."""
    private = sorted(word for word in uses if FIRST <= word <= LAST)
    worthy = [word for word, count in uses.most_common() if count >= FEWEST and len(word) > 1]
    return (*private, *worthy)[: ord(LAST) - ord(FIRST) + 1]


def _json(block: JSON) -> str:
    return json.dumps(holdable(block), ensure_ascii=False, separators=(",", ":"))


def _compress(text: str) -> str:
    # "Filtered" prefers coding each character well over finding repeats of a few. gzip's header (31) names no time: the
    # same run gives the same page, byte for byte.
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_FILTERED)
    return base64.b64encode(squeeze.compress(text.encode("utf-16-le")) + squeeze.flush()).decode("ascii")
