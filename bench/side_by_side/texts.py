"""The texts that all are given: drawn ones, answers whose truth is known, and any file that evalkit writes.

A set lies in a folder as `SET.json`, {arm: [{id, prompt, generations, answer, cluster}]}, and `SET-ARM.npy`, the
embeddings of all its generations one after the other, float32 with rows of length 1. Peers read these with nothing but
json and numpy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.metrics.embeddings.use import UniversalSentenceEncoder
from evalkit.plumbing.arrays import Array
from evalkit.records import Completion, Group, Prompt

PROMPTS, COMPLETIONS = 200, 16
OF_A_CLUSTER = 4
"""Paraphrases of one question, in the set of answers."""
Rows = list[dict[str, Any]]
Arms = Mapping[str, Rows]


def drawn(prompts: int = PROMPTS) -> Arms:
    """Words by Zipf's law: of 8 000 (wide), or of 60 that are each prompt's own (narrow). A third are short answers."""
    return {"wide": _drawn(prompts, 0, 8000, None), "narrow": _drawn(prompts, 1, 8000, 60)}


def _drawn(prompts: int, seed: int, vocabulary: int, of_prompt: int | None) -> Rows:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(prompts):
        known = np.arange(vocabulary) if of_prompt is None else rng.choice(vocabulary, of_prompt, replace=False)
        law = 1 / np.arange(1, len(known) + 1)
        least, most = (1, 4) if number % 3 == 0 else (8, 30)
        lengths = rng.integers(least, most + 1, COMPLETIONS)
        texts = [" ".join(f"w{word}" for word in rng.choice(known, k, p=law / law.sum())) for k in lengths]
        rows.append(_row(number, texts))
    return rows


def answers() -> Arms:
    """Numbers, right with a chance that paraphrases of one question share: of any size (wide), or seldom or often."""
    return {"wide": _answers(2, 1.0), "narrow": _answers(3, 0.2)}


def _answers(seed: int, shape: float) -> Rows:
    rng = np.random.default_rng(seed)
    chances = np.repeat(rng.beta(shape, shape, PROMPTS // OF_A_CLUSTER), OF_A_CLUSTER)
    rows = []
    for number, chance in enumerate(chances):
        right = int(rng.integers(10, 100))
        wrong = right + rng.integers(1, 20, COMPLETIONS)
        texts = np.where(rng.random(COMPLETIONS) < chance, right, wrong).astype(str).tolist()
        rows.append(_row(number, texts) | {"answer": str(right), "cluster": f"c{number // OF_A_CLUSTER}"})
    return rows


def _row(number: int, texts: Sequence[str]) -> dict[str, Any]:
    return {"id": f"p{number}", "prompt": f"Question {number}?", "generations": list(texts)}


def exported(path: Path) -> Arms:
    """What `evalkit export --to jsonl` wrote, each prompt with as many completions as the one that has fewest."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompts = found.setdefault(row["arm"], {})
        blank = {"id": row["prompt_id"], "prompt": row["prompt"], "generations": []}
        prompts.setdefault(row["prompt_id"], blank)["generations"].append(row["completion"].strip())
    fewest = min(len(row["generations"]) for prompts in found.values() for row in prompts.values())
    return {
        arm: [row | {"generations": row["generations"][:fewest]} for row in prompts.values()]
        for arm, prompts in found.items()
    }


def lay_down(folder: Path, name: str, arms: Arms, embed: bool) -> None:
    """Write a set, with the embeddings of the encoder that evalkit has in it where they are asked for."""
    if embed:
        encoder = UniversalSentenceEncoder()
        for arm, rows in arms.items():
            vectors = np.asarray(encoder.encode([text for row in rows for text in row["generations"]]))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            np.save(folder / f"{name}-{arm}.npy", vectors.astype(np.float32))
    (folder / f"{name}.json").write_text(json.dumps(arms), encoding="utf-8")


def read(folder: Path, name: str) -> Arms:
    arms: Arms = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return arms


def embeddings(folder: Path, name: str, arm: str, rows: Rows) -> list[Array]:
    """Those of each prompt's generations; empty arrays where the set has none."""
    path = folder / f"{name}-{arm}.npy"
    if not path.exists():
        return [np.empty((0, 0))] * len(rows)
    ends = np.cumsum([len(row["generations"]) for row in rows])[:-1]
    return list(np.split(np.load(path), ends))


def groups(rows: Rows, vectors: Iterable[Array | None]) -> list[Group]:
    """What evalkit's metrics take, with words that have not been looked for yet."""
    made = []
    for row, of_prompt in zip(rows, vectors, strict=True):
        prompt = Prompt(row["id"], row["prompt"], answer=row.get("answer"), cluster=row.get("cluster"))
        texts = enumerate(row["generations"])
        completions = tuple(Completion(row["id"], slot, text, (), (), "stop") for slot, text in texts)
        made.append(Group(prompt, completions, of_prompt))
    return made
