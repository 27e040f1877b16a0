"""Bias and interval coverage of every estimator, by simulation in the lab, where the law of every prompt is known.

    python -m bench.estimators [--groups N] [--trials N] [--write]

Completions are drawn from the grammar itself, and from its exact optimum under the scholars at beta 0.2, the tuned law.

- Bias: the mean value at k = 32 against its limit for k without end. The limit is exact for `sequence_entropy` and the
  divergences; for other metrics it is their value on 4 000 completions. Where it is not 0, only equal k compares,
  which is what a run does.
- Coverage: of 60 prompts drawn from all, the share of 95 % intervals that hold the mean over all prompts; the same for
  paired differences between the tuned law and the base law.
- False alarms: paired differences between two independent draws from the base law, the share with p < 0.05.

`--write` puts the table into docs/metrics.md.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from evalkit import records
from evalkit.analysis.intervals import mean_intervals, mean_p_values
from evalkit.lab.grammar import Prompt
from evalkit.lab.optimum import divergence, optimum
from evalkit.lab.rater import GROUPS
from evalkit.lab.world import load
from evalkit.metrics.answer_match import normal_form
from evalkit.metrics.embeddings.encoder import encode
from evalkit.metrics.registry import Measure, definitions, parse
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.tokenize_13a import tokenize
from evalkit.records import CONFIDENCE, Completion, Group

K = 32
PROMPTS = 60
SCHOLARS = GROUPS["scholars"]
BETA = 0.2
LIMIT_DRAWS = 4_000
VALID_DRAWS = 100
LIMIT_PROMPTS = 12
"""Open prompts whose limits are computed: each takes thousands of completions."""
PLANTED = ("words", "token_ids", "logprobs", "baseline_logprobs", "baseline_group", "forward_logprobs", "embeddings",
           "answer", "valid", "quality")  # fmt: skip
"""What the simulation can give to a metric."""
BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"
PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
ARMS = ("base", "again", "tuned")
"""The base law, the base law once more, and the tuned law."""


@dataclass(frozen=True)
class Row:
    """What a simulation found of one metric."""

    measure: str
    value: float
    """Mean over prompts at k = 32, under the base law (divergences: under the tuned one)."""
    bias: float
    """`value` less the mean limit on the same prompts; NaN where no limit is known."""
    covered: float
    difference_covered: float
    false_alarms: float
    """NaN for divergences: there is none between two draws of one law."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=24, help="groups of completions drawn for each prompt and law")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/metrics.md")
    asked = parser.parse_args()
    measures = simulated_measures()
    rows = list(simulate(measures, open_prompts(), asked.groups, asked.trials))
    table = markdown(rows, asked.groups, asked.trials)
    print(table)
    if asked.write:
        write(table)


def simulated_measures() -> list[Measure]:
    """Every metric that the simulation can feed, with its default parameters; where it has none, with k = 2."""
    return [
        parse(name) if _has_defaults(definition.parameters) else parse({name: {"k": 2}})
        for name, definition in definitions().items()
        if definition.kind == "metric"
        and definition.needs <= set(PLANTED)
        and (_has_defaults(definition.parameters) or "k" in definition.parameters)
    ]


def _has_defaults(parameters: Mapping[str, object]) -> bool:
    return all(
        getattr(parameter, "default", None) is not getattr(parameter, "empty", 0) for parameter in parameters.values()
    )


def open_prompts() -> tuple[Prompt, ...]:
    """Creative lines and facts: laws with thousands of completions each."""
    return load().of_kind("creative", "fact")


def simulate(measures: Sequence[Measure], prompts: Sequence[Prompt], groups: int, trials: int) -> Iterator[Row]:
    """Each measure's row. `groups` groups of K completions are drawn for each prompt and law."""
    pools = draw_pools(prompts, groups)
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(prompts), size=(trials, PROMPTS))
    hands = rng.integers(groups, size=(len(ARMS), trials, PROMPTS))
    for measure in measures:
        values = {arm: np.array([[measure(group) for group in pool] for pool in pools[arm]]) for arm in ARMS}
        drawn = {arm: values[arm][chosen, hand] for arm, hand in zip(ARMS, hands, strict=True)}
        own = "tuned" if is_divergence(measure) else "base"
        yield Row(
            str(measure),
            float(np.nanmean(values[own])),
            bias(measure, prompts, values[own]),
            coverage(drawn[own], _mean(values[own])),
            coverage(drawn["tuned"] - drawn["base"], _mean(values["tuned"]) - _mean(values["base"])),
            math.nan if is_divergence(measure) else false_alarms(drawn["again"] - drawn["base"]),
        )


def is_divergence(measure: Measure) -> bool:
    """Whether it compares an arm with the baseline, and is trivial on the baseline itself."""
    return bool(measure.definition.needs & {"baseline_logprobs", "baseline_group", "forward_logprobs"})


def _mean(values: Array) -> float:
    """Mean over prompts of each prompt's mean over its groups: what a trial's mean is expected to be."""
    return float(np.nanmean(np.nanmean(values, axis=1)))


def coverage(drawn: Array, truth: float) -> float:
    """Share of rows, [trials, PROMPTS], whose interval holds the truth; rows that are all equal to it do."""
    intervals = mean_intervals(drawn, CONFIDENCE)
    slack = 1e-12 * max(1.0, abs(truth))
    return float(np.mean([mean.low - slack <= truth <= mean.high + slack for mean in intervals]))


def false_alarms(differences: Array) -> float:
    """Share of rows, [trials, PROMPTS], that the test calls a difference at 5 %."""
    return float(np.mean(mean_p_values(differences) < 0.05))


def draw_pools(prompts: Sequence[Prompt], groups: int) -> dict[str, list[list[Group]]]:
    """Arm -> prompt -> groups of K completions, with all that metrics may need."""
    rng = random.Random(0)
    pools: dict[str, list[list[Group]]] = {arm: [] for arm in ARMS}
    for prompt in prompts:
        tuned = optimum(prompt, SCHOLARS, BETA)
        bases = [group_of(prompt, prompt, [prompt.sample(rng) for _ in range(K)]) for _ in range(groups)]
        pools["base"].append([replace(group, baseline=group) for group in bases])
        for arm, law in (("again", prompt), ("tuned", tuned)):
            made = [group_of(prompt, law, [law.sample(rng) for _ in range(K)]) for _ in range(groups)]
            pools[arm].append([beside(prompt, law, one, base) for one, base in zip(made, bases, strict=True)])
    return embedded(pools)


def group_of(prompt: Prompt, law: Prompt, texts: Sequence[str]) -> Group:
    """Completions of a prompt that `law` drew; a text's log-prob is spread evenly over its words and its end."""
    completions = []
    for slot, text in enumerate(texts):
        count = len(tokenize(text)) + 1
        logprob = log_prob(law, text)
        completions.append(Completion(prompt.id, slot, text, tuple(range(count)), (logprob / count,) * count, "stop"))
    own = np.array([log_prob(prompt, text) for text in texts])
    asked = records.Prompt(prompt.id, prompt.text, **answer_of(prompt), valid=valid_of(prompt))
    quality = np.array([SCHOLARS.utility(load(), prompt.text, text) for text in texts])
    return Group(asked, tuple(completions), baseline_logprobs=own, forward_logprobs=own, quality=quality)


@cache
def valid_of(prompt: Prompt) -> tuple[str, ...]:
    """Some of the texts that the prompt's law gives, as its valid answers: those of so many draws."""
    rng = random.Random(prompt.id)
    by_form = {normal_form(text): text for text in (prompt.sample(rng) for _ in range(VALID_DRAWS))}
    return tuple(by_form.values())


def answer_of(prompt: Prompt) -> dict[str, Any]:
    """The right answer as a suite writes it: the lab's `match` is a pattern or the word numeric."""
    if prompt.match is None:
        return {}
    if prompt.match == "numeric":
        return {"answer": prompt.answer, "match": "numeric"}
    return {"answer": prompt.match, "match": "regex"}


def beside(prompt: Prompt, law: Prompt, group: Group, base: Group) -> Group:
    """A group next to one of the base law's."""
    forward = np.array([log_prob(law, completion.text) for completion in base.completions])
    return replace(group, baseline=base, forward_logprobs=forward)


def log_prob(law: Prompt, text: str) -> float:
    parsed = law.parse(text)
    assert parsed is not None, "both laws draw texts of the grammar alone"
    return parsed[1]


def embedded(pools: dict[str, list[list[Group]]]) -> dict[str, list[list[Group]]]:
    texts = sorted({text for arm in pools.values() for pool in arm for group in pool for text in group.texts})
    place = {text: index for index, text in enumerate(texts)}
    rows = encode(texts)

    def add(group: Group) -> Group:
        return replace(group, embeddings=rows[[place[text] for text in group.texts]])

    return {arm: [[add(group) for group in pool] for pool in of_arm] for arm, of_arm in pools.items()}


def bias(measure: Measure, prompts: Sequence[Prompt], values: Array) -> float:
    """Mean over prompts of (mean value - limit), on the first prompts of each kind or, where exact, on all."""
    exact = exact_limits(measure, prompts)
    if exact is not None:
        return float(np.nanmean(np.nanmean(values, axis=1) - exact))
    if is_divergence(measure):
        return math.nan
    step = max(1, len(prompts) // LIMIT_PROMPTS)
    some = range(0, len(prompts), step)
    rng = random.Random(1)
    gaps = []
    for index in some:
        prompt = prompts[index]
        big = group_of(prompt, prompt, [prompt.sample(rng) for _ in range(LIMIT_DRAWS)])
        gaps.append(float(np.nanmean(values[index])) - float(measure(replace(big, embeddings=encode(big.texts)))))
    return float(np.nanmean(gaps)) if not np.isnan(gaps).all() else math.nan


def exact_limits(measure: Measure, prompts: Sequence[Prompt]) -> Array | None:
    """One a prompt, from the grammar's own arithmetic; None where there is none."""
    tuned = (optimum(prompt, SCHOLARS, BETA) for prompt in prompts)
    if measure.name == "sequence_entropy":
        return np.array([prompt.entropy for prompt in prompts])
    if measure.name == "kl_reverse":
        return np.array([divergence(law, prompt) for law, prompt in zip(tuned, prompts, strict=True)])
    if measure.name == "kl_forward":
        return np.array([divergence(prompt, law) for law, prompt in zip(tuned, prompts, strict=True)])
    return None


def markdown(rows: Sequence[Row], groups: int, trials: int) -> str:
    lines = [
        f"{len(open_prompts())} open prompts of the lab, {groups} groups of {K} completions a prompt and law; {trials} "
        f"trials of {PROMPTS} prompts. Tuned law: the exact optimum at beta {BETA:g}.",
        "",
        "| metric | at k = 32 | less its limit | mean covered | difference covered | false alarms at 5 % |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row.value, row.bias, row.covered, row.difference_covered, row.false_alarms)
        shown = [
            f"{cells[0]:.4g}",
            "" if math.isnan(cells[1]) else f"{cells[1]:+.3g}",
            *("" if math.isnan(c) else f"{100 * c:.1f} %" for c in cells[2:]),
        ]
        lines.append("| " + " | ".join([f"`{row.measure}`".replace("|", "\\|"), *shown]) + " |")
    return "\n".join(lines)


def write(table: str) -> None:
    """Put the table between its marks in docs/metrics.md."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
