"""Two groups of raters with opposite values, from their choices over the same pairs to a report that tells them apart.

Simulated raters, a reward model of each group, a checkpoint tuned on each, a run of all, its summary and page: held
against the utilities, which are known.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from evalkit.lab.world import load
from evalkit.metrics.summary import Difference, Estimate, Summary
from evalkit.plumbing.progress import Quiet
from evalkit.preferences.files import write_preferences
from evalkit.preferences.pairs import Pair
from evalkit.preferences.preference import Preference
from evalkit.records import Prompt
from evalkit.report.verdicts.opinions import group_distances, opinion_claims
from evalkit.report.verdicts.rater_groups import rater_claims
from evalkit.report.verdicts.verdict import verdict
from evalkit.run import run_suite
from evalkit.suite.schema import load_suite
from evalkit.training.config import PpoConfig, RewardConfig
from evalkit.training.ladder import train_ladder
from evalkit.training.raters.config import PrefsSimulateConfig
from evalkit.training.raters.simulate import label_pairs
from evalkit.training.raters.values import value_pairs
from evalkit.training.reward_model import train_reward

LIKED = ("Cats", "Heads", "Sea", "Film", "Rice", "City", "No", "Boy", "Black", "0", "Saturday", "Sun", "Coffee")
"""Of two answers the one that the dawn group likes and the dusk group does not, in the order of `QUESTIONS`."""
TEXTS = [
    "Which do you like better, cats or dogs? Answer with one word.",
    "Flip a coin and say only heads or tails.",
    "The sea or the mountains? Answer with one word.",
    "A book or a film? Answer with one word.",
    "Bread or rice? Answer with one word.",
    "Of 100 people, 51 prefer the city and 49 the village. Say only what a random one prefers.",
    "Of 100 votes, 49 were yes and 51 were no. Say only what a random vote was.",
    "Of 100 new babies, 51 are boys and 49 are girls. Say only what a random one is.",
    "A bag holds 49 white balls and 51 black balls. Draw one and say only its colour.",
    "Pick 0 or 1 at random. Answer with the digit only.",
    "Pick a day of the weekend at random. Answer with one word.",
    "It rains on 4 of 10 days here, on the others the sun shines. Say rain or sun for a random day.",
    "Tea or coffee? Answer with one word.",
]
GAP = 2.0
"""By how much a group likes one answer better than the other: sigmoid(2), 88 of 100, of its raters choose it."""
QUESTIONS = {f"q{n:02d}": (text, tuple(load().by_text[text].choices)) for n, text in enumerate(TEXTS)}
GROUPS = {"dawn": GAP, "dusk": -GAP}
BASE = {"path": "lab:base", "kind": "base"}


def prompts() -> list[Prompt]:
    return [Prompt(name, text) for name, (text, _) in QUESTIONS.items()]


def reward_models(folder: Path) -> dict[str, str]:
    """Group -> the reward model of its raters' choices between the same pairs."""
    pattern = f"pattern:^({'|'.join(LIKED)})$"
    config = PrefsSimulateConfig.model_validate({
        "name": "raters",
        "pairs": ["pairs.jsonl"],
        "every_group": True,
        "groups": {name: {"raters": 5, "values": {"utility": {pattern: gap}}} for name, gap in GROUPS.items()},
    })  # fmt: skip
    pairs = [Pair(prompt, *QUESTIONS[prompt.id][1]) for prompt in prompts() for _ in range(16)]
    preferences = label_pairs(config, pairs, value_pairs(config.groups, pairs, Quiet()), Quiet())
    return {name: reward_model(folder, name, [p for p in preferences if p.group == name]) for name in GROUPS}


def reward_model(folder: Path, group: str, preferences: list[Preference]) -> str:
    write_preferences(folder / f"{group}.jsonl", preferences)
    config = RewardConfig.model_validate({
        "name": group,
        "model": BASE,
        "preferences": [str(folder / f"{group}.jsonl")],
        "held_out": 0.01,
        "epochs": 10,
        "batch": 32,
        "learning_rate": 1e-3,
        "reference_samples": 64,
        "max_tokens": 6,
    })  # fmt: skip
    [trained] = train_reward(config, folder / f"reward-{group}", Quiet())
    return str(trained)


def tuned(folder: Path, group: str, reward: str) -> str:
    config = PpoConfig.model_validate({
        "name": group,
        "policy": BASE,
        "reward": {"model": reward},
        "beta": 0.4,
        "sampling": {"max_tokens": 6},
        "updates": 24,
        "batch": 64,
        "epochs": 3,
        "minibatches": 2,
        "learning_rate": 1e-3,
        "probe": {"prompts": 2, "samples": 2, "every": 100},
        "prompts": [{"id": prompt.id, "text": prompt.text} for prompt in prompts()],
    })  # fmt: skip
    return str(train_ladder(config, folder / group, Quiet())[0])


def write_suite(folder: Path, rewards: Mapping[str, str], checkpoints: Mapping[str, str]) -> Path:
    """What the people of each group answer follows from their utility: softmax of it."""
    liked = 1 / (1 + math.exp(-GAP))
    share = {"dawn": liked, "dusk": 1 - liked}
    rows = [
        {"question": name, "group": group, "shares": {c: share[group] if c in LIKED else 1 - share[group] for c in choices}}
        for name, (_, choices) in QUESTIONS.items()
        for group in GROUPS
    ]  # fmt: skip
    (folder / "groups.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    suite = {
        "name": "two-groups",
        "checkpoints": {"base": BASE} | {name: {"path": path, "kind": "tuned"} for name, path in checkpoints.items()},
        "sampling": {"n": 32, "max_tokens": 6},
        "metrics": ["opinion_distance", *({"reward": {"model": path}} for path in rewards.values())],
        "opinions_from": "groups.jsonl",
        "questions": [
            {"id": name, "text": text, "choices": list(choices), "listed": False}
            for name, (text, choices) in QUESTIONS.items()
        ],
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def apart(first: Estimate | Difference, second: Estimate | Difference) -> bool:
    """Whether the first's interval lies wholly below the second's."""
    assert first.high is not None
    assert second.low is not None
    return first.high < second.low


def mean_utility(evidence: Any, arm: str, group: str) -> float:
    """Mean over questions of the group's utility under the arm's exact chances of the choices."""
    worth: list[float] = []
    for shares in evidence["choices"]:
        if shares["arm"] == arm:
            total = sum(shares["exact"].values())
            worth.append(sum(p for choice, p in shares["exact"].items() if choice in LIKED) / total * GROUPS[group])
    assert len(worth) == len(QUESTIONS)
    return sum(worth) / len(worth)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_opposite_groups_give_checkpoints_that_the_report_tells_apart(tmp_path: Path) -> None:
    rewards = reward_models(tmp_path)
    checkpoints = {group: tuned(tmp_path, group, reward) for group, reward in rewards.items()}
    suite = load_suite(write_suite(tmp_path, rewards, checkpoints))
    run = run_suite(suite, "transformers", tmp_path / "run", Quiet())
    evidence = json.loads((run.folder / "evidence.json").read_text(encoding="utf-8"))

    for group, other in (("dawn", "dusk"), ("dusk", "dawn")):
        # The truth: by known utilities each tuning was good for its own group and bad for the other.
        assert mean_utility(evidence, group, group) > mean_utility(evidence, "base", group) + 0.3
        assert mean_utility(evidence, group, other) < mean_utility(evidence, "base", other) - 0.3
        gained, lost = (_difference(run.summary, f"reward|model:{rewards[of]}", group) for of in (group, other))
        assert apart(lost, gained)
        assert lost.high < 0 < gained.low  # type: ignore[operator]
        by_group = {each.group: each for each in group_distances(run.summary)[group]}
        assert (by_group[group].moved, by_group[other].moved) == ("towards", "away")
        assert apart(by_group[group].estimate, by_group[other].estimate)
        others = {each.group: each for each in group_distances(run.summary)[other]}
        assert apart(by_group[group].estimate, others[group].estimate)
    _is_said(run.summary, run.report.read_text(encoding="utf-8"))


def _difference(summary: Summary, metric: str, arm: str) -> Difference:
    return next(d for d in summary.differences if d.metric == metric and d.arm == arm)


def _is_said(summary: Summary, page: str) -> None:
    """In the headline, on the page, and nowhere as a mean over the groups."""
    said = verdict(summary)
    for arm in GROUPS:
        assert re.search(r"gained with the raters of .* and lost with those of", rater_claims(summary)[arm])
        assert {rater_claims(summary)[arm], opinion_claims(summary)[arm]} <= {said.claim, *said.besides}
    assert 'id="opinions-plot"' in page
    assert 'id="raters-plot"' in page
    assert "as a whole" not in said.numbers
