"""The texts that peers are given: the same every time, and what evalkit exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.side_by_side import texts


def test_texts_are_the_same_every_time_and_narrower_where_they_say_so() -> None:
    first, again = texts.drawn(12), texts.drawn(12)
    assert first == again
    kinds = {
        arm: np.mean([len(set(" ".join(row["generations"]).split())) for row in rows]) for arm, rows in first.items()
    }
    assert kinds["narrow"] < kinds["wide"]


def test_answers_say_what_is_right_and_which_prompts_belong_together() -> None:
    rows = texts.answers()["wide"]
    assert len({row["cluster"] for row in rows}) == texts.PROMPTS // texts.OF_A_CLUSTER
    assert 0 < np.mean([row["generations"].count(row["answer"]) for row in rows]) < texts.COMPLETIONS


def test_an_export_keeps_as_many_completions_of_every_prompt(tmp_path: Path) -> None:
    rows = [
        {"arm": arm, "prompt_id": prompt, "prompt": "?", "completion": f" {slot}"}
        for arm, prompt, count in (("a", "p", 3), ("a", "q", 2), ("b", "p", 4), ("b", "q", 3))
        for slot in range(count)
    ]
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    arms = texts.exported(file)
    assert [[row["generations"] for row in prompts] for prompts in arms.values()] == [[["0", "1"]] * 2] * 2
