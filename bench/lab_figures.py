"""The figures of the built-in checkpoints in docs, made anew: `python -m bench.lab_figures`.

Each table stands between two marks; what stands around them is written by hand. Runs that some tables are of go to
reports/lab-figures and are not made again while they are there. A quarter of an hour on two cores.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import LlamaForCausalLM, LlamaForSequenceClassification

import evalkit
from evalkit.checkpoints.training_log import read_curves
from evalkit.lab import resolve
from evalkit.lab import tokenizer as tokenizers
from evalkit.lab.probe import Portrait, portray
from evalkit.lab.rater import GROUPS
from evalkit.lab.reward import scores
from evalkit.lab.sampling import draw
from evalkit.lab.train import log_probs
from evalkit.lab.world import load
from evalkit.metrics.summary import Summary
from evalkit.plumbing.progress import Bars
from evalkit.records import Prompt
from evalkit.run import run_suite
from evalkit.runs.summary import read_summary
from evalkit.suite.schema import load_suite
from evalkit.training.probe import probe_row

ROOT = Path(__file__).parents[1]
PAGES, RUNS = ROOT / "docs", ROOT / "reports" / "lab-figures"
GRAMMAR = load()
LADDER = ("base", "ppo-1", "ppo-0.5", "ppo-0.2", "ppo-0.1")
"""From the base to the policy that is held least."""
KINDS = ("all", "creative", "fact", "choice", "riddle")
TOKENIZER = tokenizers.build(GRAMMAR, chat=False)
TRIES = (1, 4, 16, 64, 256)
"""At a riddle or a fact."""


@cache
def model(name: str) -> LlamaForCausalLM:
    found = LlamaForCausalLM.from_pretrained(resolve(name), dtype=torch.float32).eval()
    found.set_attn_implementation("eager")
    return found


@cache
def said(name: str, group: str = "scholars") -> dict[str, Portrait]:
    """What 16 completions a prompt say, by the values of a group of raters."""
    return portray(model(name), GRAMMAR, TOKENIZER, GROUPS[group], 16, seed=7)


def figures(name: str) -> dict[str, Any]:
    """What the recipe measured of a checkpoint."""
    found: dict[str, Any] = json.loads((resolve(name) / "recipe.json").read_text(encoding="utf-8"))["figures"]
    return found


def solved(name: str) -> int:
    """Riddles that one of as many completions as there are tries at most answers."""
    riddles = GRAMMAR.of_kind("riddle")
    drawn = draw(model(name), TOKENIZER, [riddle.text for riddle in riddles], TRIES[-1], seed=3)
    right = [[riddle.parse(text) for text in drawn[riddle.text]] for riddle in riddles]
    return sum(any(found is not None and found[0].right for found in texts) for texts in right)


def distances(name: str) -> tuple[float, float]:
    """Mean embedding distance between answers to one creative prompt, and between answers to two."""
    few = [prompt for prompt in GRAMMAR.of_kind("creative") if not prompt.held_back][:32]
    asked = [Prompt(prompt.id, prompt.text) for prompt in few]
    texts = draw(model(name), TOKENIZER, [prompt.text for prompt in few], 16, seed=5)
    row = probe_row(asked, [texts[prompt.text] for prompt in few])
    return row["probe_embedding_distance"], row["probe_across"]


def close_choices() -> dict[str, list[str]]:
    """Prompt -> its two answers, of the choices at 51 to 49."""
    close = [prompt for prompt in GRAMMAR.of_kind("choice") if prompt.group == "close"]
    return {prompt.text: [f"{answer}." for answer in prompt.choices] for prompt in close}


def shares(name: str) -> list[float]:
    """Of each close choice, the chance of its first answer among the two."""
    found = log_probs(model(name), TOKENIZER, close_choices()).values()
    return [1 / (1 + math.exp(second - first)) for first, second in found]


@cache
def judge() -> LlamaForSequenceClassification:
    """The scholars' reward model."""
    return LlamaForSequenceClassification.from_pretrained(resolve("reward"), dtype=torch.float32).eval()


def gaps() -> list[float]:
    """Of each close choice, by how much the reward model likes its first answer more."""
    with torch.no_grad():
        rewards = [
            scores(judge(), TOKENIZER, [(asked, text) for text in two]).tolist()
            for asked, two in close_choices().items()
        ]
    return [first - second for first, second in rewards]


@cache
def deviation() -> float:
    """Standard deviation of the reward on the base's completions, on whose scale beta is told."""
    asked = [prompt.text for prompt in GRAMMAR.prompts if not prompt.held_back]
    drawn = draw(model("base"), TOKENIZER, asked, 16, seed=9)
    with torch.no_grad():
        found = scores(judge(), TOKENIZER, [(prompt, text) for prompt, texts in drawn.items() for text in texts])
    return float(found.std())


def leans() -> list[float]:
    """Of each close choice, the chance of its first answer under the optimum of beta 0.1."""
    scale = deviation()
    return [1 / (1 + math.exp(-(math.log(51 / 49) + gap / scale / 0.1))) for gap in gaps()]


def fit_table() -> Iterator[str]:
    yield "| prompts | exact entropy | excess cross entropy | share |"
    yield "| --- | --- | --- | --- |"
    for kind, fit in ((kind, figures("base")["fit"][kind]) for kind in KINDS):
        error = f"{fit['excess']:.3f} ± {fit['standard_error']:.3f}"
        yield f"| {kind} | {fit['entropy']:.3f} | {error} | {100 * fit['relative']:.2f} % |"


def tuning_table() -> Iterator[str]:
    """Of the base and of `lab:tuned`, by the recipe's own 32 completions a prompt."""
    base, tuned = (figures(name)["says"] for name in ("base", "ppo-0.2"))
    yield "| | base | tuned |"
    yield "| --- | --- | --- |"

    def row(title: str, value: Callable[[dict[str, Any]], str]) -> str:
        return f"| {title} | {value(base)} | {value(tuned)} |"

    yield row("facts: right answers", lambda says: percent(says["fact"]["accuracy"]))
    for voice, title in VOICES.items():
        yield _row(f"creative: {title}", [percent(says["creative"]["voices"][voice]) for says in (base, tuned)])
    yield row("creative: entropy, nats a completion", lambda says: f"{says['creative']['entropy']:.2f}")
    yield row("creative: different texts among 32", lambda says: percent(says["creative"]["distinct"]))
    yield row("creative: the rater's mean utility", lambda says: f"{says['creative']['utility']:.2f}")
    yield row("riddles: right answers", lambda says: percent(says["riddle"]["accuracy"]))
    yield row("creative: texts outside the grammar", lambda says: percent(says["creative"]["outside"]))


VOICES = {"professor": "professor", "student": "student", "rude": "rude commenter", "poet": "poet"}


def raters_table() -> Iterator[str]:
    heads = ("held-out pairs", "sides with the rater", "the rater's own utility would", "of unseen prompts", "there")
    yield _row("reward model", heads)
    yield "| --- " * (len(heads) + 1) + "|"
    for name in ("reward", "reward-friends"):
        test, unseen = (figures(name)[part] for part in ("held_out", "held_back_prompts"))
        yield (
            f"| `lab:{name}` | {test['pairs']:,} | {percent(test['accuracy'])} | {percent(test['ceiling'])} "
            f"| {unseen['pairs']} | {percent(unseen['accuracy'])} |"
        )


def ladder_table() -> Iterator[str]:
    yield "| | base | beta 1 | beta 0.5 | beta 0.2 | beta 0.1 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    start = read_curves(resolve("ppo-1"))[0]["reward"]
    reached = [figures(name)["reached"] for name in LADDER[1:]]
    yield _row("KL from the base, nats a completion, all prompts", ["0", *(f"{one['kl']:.2f}" for one in reached)])
    yield _row("reward (reward model)", [f"{start:.2f}", *(f"{one['reward']:.2f}" for one in reached)])
    yield _row("facts: right answers", [percent(said(name)["fact"].accuracy, 0) for name in LADDER])
    for voice in ("professor", "rude", "poet"):
        row = [percent(said(name)["creative"].voices[voice], 0) for name in LADDER]
        yield _row(f"creative: {VOICES[voice]}", row)
    yield _row("creative: entropy, nats a completion", [f"{said(name)['creative'].entropy:.1f}" for name in LADDER])
    yield _row("creative: different texts among 16", [percent(said(name)["creative"].distinct, 0) for name in LADDER])
    apart = [distances(name) for name in LADDER]
    yield _row("creative: embedding distance, one prompt's answers", [f"{within:.2f}" for within, _ in apart])
    yield _row("creative: the same, two prompts' answers", [f"{across:.2f}" for _, across in apart])
    yield _row(f"riddles solved by one of {TRIES[-1]} completions, of 12", [str(solved(name)) for name in LADDER])


def choices_table() -> Iterator[str]:
    """In the order of the gaps; the optimum is that of beta 0.1 in deviations of the reward on the base."""
    scale, found, best = deviation(), gaps(), leans()
    order = sorted(range(len(found)), key=lambda place: -found[place])
    start, tuned = shares("base"), shares("ppo-0.1")
    yield _row("gap in reward", [f"{found[place]:.3f}" for place in order])
    yield "| --- " * (len(order) + 1) + "|"
    yield _row("share of the first answer, base", [f"{start[place]:.2f}" for place in order])
    yield _row(f"optimum (gap / {scale:.2f} deviations)", [f"{best[place]:.2f}" for place in order])
    yield _row("tuned", [f"{tuned[place]:.2f}" for place in order])


def groups_table() -> Iterator[str]:
    yield "| creative prompts | professor | student | rude | poet | facts right |"
    yield "| --- | --- | --- | --- | --- | --- |"
    titles = {
        "base": "base",
        "ppo-0.2": "tuned for the scholars (beta 0.2)",
        "friends": "tuned for the friends (beta 0.2)",
    }
    for name, title in titles.items():
        heard = [percent(said(name)["creative"].voices[voice]) for voice in VOICES]
        yield _row(title, [*heard, percent(said(name)["fact"].accuracy, 0)])


def measured(suite: str, samples: int | None = None, **changes: object) -> Path:
    """The folder of a run of a shipped suite, with other metrics or fewer completions where these are named."""
    RUNS.mkdir(parents=True, exist_ok=True)
    asked = yaml.safe_load((ROOT / "suites" / f"{suite}.yaml").read_text(encoding="utf-8")) | changes
    asked.pop("gate", None)
    if samples is not None:
        asked["sampling"]["n"] = samples
    path = RUNS / f"{suite}.yaml"
    path.write_text(yaml.safe_dump(asked, sort_keys=False), encoding="utf-8")
    return run_suite(load_suite(path), "transformers", RUNS / suite, Bars()).folder


@cache
def stepping_stones() -> Summary:
    return read_summary(measured("stepping-stones") / "summary.json")


def coverage_points() -> dict[str, dict[str, list[list[float]]]]:
    """Kind of prompt -> arm -> of each of `TRIES`, the chance that one is right on each of these prompts."""
    summary = stepping_stones()
    kinds: dict[str, list[int]] = {"riddle": [], "fact": []}
    for place, prompt in enumerate(summary.prompts):
        kinds["riddle" if prompt.startswith("riddle-") else "fact"].append(place)
    return {
        kind: {
            arm.name: [
                _of_prompts(summary, arm.name, "accuracy" if k == 1 else f"pass_at_k|k:{k}", rows) for k in TRIES
            ]
            for arm in summary.arms
        }
        for kind, rows in kinds.items()
    }


def coverage_table() -> Iterator[str]:
    yield f"| chance that one of k tries is right | k = {' | '.join(map(str, TRIES))} | solved at all |"
    yield "|---" * (len(TRIES) + 2) + "|"
    for kind, arms in coverage_points().items():
        for arm, found in arms.items():
            at_all = f"{sum(value > 0 for value in found[-1])} of {len(found[-1])}"
            yield _row(f"{kind}s, {arm}", [*(_chance(float(np.mean(values))) for values in found), at_all])


def crossovers_table() -> Iterator[str]:
    """From how many tries on the base is ahead for good."""
    yield "| against | k* | 95 % interval |"
    yield "|---|---|---|"
    for one in stepping_stones().crossovers:
        if one.name == "pass_at":
            end = f"beyond {one.largest}" if one.high is None else f"{one.high:.1f}"
            yield _row(one.arm, ["-" if one.k is None else f"{one.k:.1f}", f"{one.low:.1f} to {end}"])


def _of_prompts(summary: Summary, arm: str, metric: str, rows: Sequence[int]) -> list[float]:
    [values] = [one.values for one in summary.estimates if (one.metric, one.arm) == (metric, arm)]
    return [float(values[row] or 0) for row in rows]


def _chance(share: float) -> str:
    return "0" if share == 0 else f"{share:.3f}" if share < 0.03 else f"{share:.2f}"


def lost_table() -> Iterator[str]:
    run = measured("search", 16, metrics=["accuracy", "embedding_distance"], quality="accuracy")
    summary = read_summary(run / "summary.json")
    wrong = {arm.name: _wrong(summary, arm.name) for arm in summary.arms}
    yield _row("`embedding_distance`", ["wrong answers", "lost in all", "bad answers gone", "narrower among right ones",
                                        "share of bad answers"])  # fmt: skip
    yield "|---" * 6 + "|"
    for split in summary.splits:
        parts = [
            f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
            for one in (split.total, split.quality_control, split.narrowing)
        ]
        share = (
            "-"
            if split.share is None
            else f"{100 * split.share.value:.0f} % ({100 * split.share.low:.0f} to {100 * split.share.high:.0f})"
        )
        yield _row(f"`{split.arm}`", [f"{wrong['base']} → {wrong[split.arm]} %", *parts, share])


def _wrong(summary: Summary, arm: str) -> str:
    [right] = [one.value or 0.0 for one in summary.estimates if (one.metric, one.arm) == ("accuracy", arm)]
    return f"{100 * (1 - right):.0f}"


def question_table() -> Iterator[str]:
    run = measured("modes", 16, metrics=[{"distinct_k": {"k": 8}}, "prompt_information"])
    found = {(one.metric, one.arm): one for one in read_summary(run / "summary.json").estimates}
    told = [found["prompt_information", name] for name in LADDER]
    yield "| | base | beta 1 | beta 0.5 | beta 0.2 | beta 0.1 |"
    yield "|---|---|---|---|---|---|"
    yield _row("`distinct_k` of 8", [f"{found['distinct_k|k:8', name].value:.2f}" for name in LADDER])
    yield _row("`prompt_information`", [f"{one.value:.2f}" for one in told])
    yield _row("95 % interval", [f"{one.low:.2f} to {one.high:.2f}" for one in told])


@cache
def heard_voices() -> dict[str, list[dict[str, Any]]]:
    """Arm -> what the report says of each voice."""
    shares: dict[str, list[dict[str, Any]]] = json.loads(
        (measured("voices") / "voices.json").read_text(encoding="utf-8")
    )["shares"]
    return shares


def exact_voices() -> dict[str, dict[str, float]]:
    """Arm -> share of its completions in each voice, as the grammar hears them."""
    rows = evalkit.load(measured("voices")).completions
    found = {}
    for arm in heard_voices():
        own = rows[rows["arm"] == arm]
        heard = [
            GRAMMAR.voice_of(asked, text.strip()) for asked, text in zip(own["prompt"], own["completion"], strict=True)
        ]
        found[arm] = {voice: heard.count(voice) / len(heard) for voice in VOICES}
    return found


def voices_table() -> Iterator[str]:
    """Of two voices: the grammar's own hearing, the classifier's, what its mistakes make of that, and the interval."""
    exact, shown = exact_voices(), ("professor", "rude")
    yield _row("", [f"{voice}, exact | heard | corrected | interval" for voice in shown])
    yield "|---" * (4 * len(shown) + 1) + "|"
    for arm in ("base", "ppo-1", "ppo-0.2"):
        by_name = {one["voice"]: one for one in heard_voices()[arm]}
        cells = []
        for voice, one in ((voice, by_name[voice]) for voice in shown):
            ends = f"{one['low']:.2f} to {one['high']:.2f}"
            cells += [f"{exact[arm][voice]:.3f}", f"{one['heard']:.3f}", f"{one['spoken']:.3f}", ends]
        yield _row(arm, cells)


def percent(share: float | None, digits: int = 1) -> str:
    """A small share keeps a digit that tells it from none."""
    assert share is not None
    return f"{100 * share:.{digits if share >= 0.01 or not share else max(1, digits)}f} %"


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


TABLES: dict[str, dict[str, Callable[[], Iterator[str]]]] = {
    "lab.md": {"fit": fit_table, "tuning": tuning_table, "raters": raters_table},
    "claims.md": {"ladder": ladder_table, "choices": choices_table, "groups": groups_table},
    "coverage.md": {"coverage": coverage_table, "crossovers": crossovers_table},
    "lost.md": {"lost": lost_table},
    "prompt-information.md": {"question": question_table},
    "voices.md": {"voices": voices_table},
}


def main() -> None:
    for name, tables in TABLES.items():
        page = PAGES / name
        text = page.read_text(encoding="utf-8")
        for mark, table in tables.items():
            text = between(text, f"<!-- bench.lab_figures: {mark} -->", "\n".join(table()))
        page.write_text(text, encoding="utf-8")


def between(text: str, mark: str, table: str) -> str:
    """The text with a table between its mark and the next end.

    Raises `ValueError` where the page has no such mark.
    """
    head, rest = text.split(mark)
    return f"{head}{mark}\n{table}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"


if __name__ == "__main__":
    main()
