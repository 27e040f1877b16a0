"""Completions packed for the page's sample browser: one compressed block a prompt, opened when it is looked at."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.records import Completion, Group, Prompt
from evalkit.report.content import JSON, ReportContent, Scores
from evalkit.report.offline import holdable
from evalkit.report.wording import is_number

MAX_BYTES = 30_000_000
"""A page above some 40 MB is slow to open; blocks beyond this are left out, and the page says so."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What the browser lists (`prompts`) and what it opens on demand (`blocks`, one a prompt)."""

    prompts: tuple[JSON, ...]
    blocks: tuple[str, ...]
    """gzip and base64; empty where there is nothing to show or the page would grow too large."""
    left_out: int
    """Prompts whose completions did not fit."""


def pack(content: ReportContent) -> Samples:
    """Group identical completions and compress them prompt by prompt, in the summary's order of prompts."""
    groups = {
        arm: {group.prompt.id: (place, group) for place, group in enumerate(content.groups[arm])}
        for arm in content.groups
    }
    prompts, blocks, left_out, used = [], [], 0, 0
    for prompt_id in content.summary.prompts:
        found = {arm: by_id[prompt_id] for arm, by_id in groups.items() if prompt_id in by_id}
        block = _compress(_block(prompt_id, found, content)) if found else ""
        used += len(block)
        if used > MAX_BYTES:
            left_out, block = left_out + 1, ""
        prompts.append(_entry(prompt_id, [group.prompt for _, group in found.values()]))
        blocks.append(block)
    return Samples(tuple(prompts), tuple(blocks), left_out)


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
        "choices": dict(prompt.choices),
    }


def _block(prompt_id: str, found: Mapping[str, tuple[int, Group]], content: ReportContent) -> JSON:
    return {
        arm: {
            "rendered": content.rendered.get(arm, {}).get(prompt_id),
            "classes": list(_classes(group.completions, _scores(content.scores, arm, place))),
        }
        for arm, (place, group) in found.items()
    }


def _scores(scores: Scores, arm: str, place: int) -> dict[str, Sequence[float | None]]:
    return {name: arms[arm][place] for name, arms in scores.items() if arm in arms and place < len(arms[arm])}


def _classes(completions: Sequence[Completion], scores: Mapping[str, Sequence[float | None]]) -> Iterable[JSON]:
    """Identical texts together, the most frequent first; each with the mean of its scores."""
    slots: dict[str, list[int]] = defaultdict(list)
    for slot, completion in enumerate(completions):
        slots[completion.text.strip()].append(slot)
    for text, members in sorted(slots.items(), key=lambda item: -len(item[1])):
        yield {
            "text": text,
            "count": len(members),
            "cut": sum(completions[slot].finish_reason == "length" for slot in members),
            "scores": {name: mean for name, values in scores.items() if (mean := _mean(values, members)) is not None},
        }


def _mean(values: Sequence[float | None], slots: Sequence[int]) -> float | None:
    known = [value for slot in slots if slot < len(values) and is_number(value := values[slot])]
    return round(sum(known) / len(known), 6) if known else None


def _compress(block: JSON) -> str:
    text = json.dumps(holdable(block), ensure_ascii=False)
    # mtime 0: the same run gives the same page, byte for byte.
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")
