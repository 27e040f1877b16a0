"""docs/metrics.md, made from the metrics' own docstrings: `python docs/metrics_page.py` (`make docs`).

The simulation's table, which `python -m bench.estimators --write` puts between two marks, stays as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from evalkit.metrics.declaration import Definition
from evalkit.metrics.registry import definitions
from evalkit.records import Side

PAGE = Path(__file__).with_name("metrics.md")
BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"
ORDER: tuple[Side, ...] = ("diversity", "match", "quality", "neither")
LABELS = ("Range:", "Bias:", "Cost:", "Undefined:")


def page(simulation: str) -> str:
    """The whole page around the simulation's table."""
    by_family: dict[str, list[Definition]] = {}
    for definition in definitions().values():
        if definition.function.__module__.startswith("evalkit."):
            by_family.setdefault(definition.traits.family, []).append(definition)
    parts = [INTRODUCTION]
    for family, members in sorted(by_family.items(), key=lambda item: ORDER.index(side(item[1]))):
        parts += [f"## {family.capitalize()}\n", *map(section, members)]
    return "\n".join([*parts, SIMULATION.format(table=f"{BEGIN}{simulation}{END}")])


def side(members: Sequence[Definition]) -> Side:
    """The side of a family: that of its members that are on one."""
    return next((one.traits.side for one in members if one.traits.side != "neither"), "neither")


def section(definition: Definition) -> str:
    parameters = ", ".join(
        f"`{p.name}`" + ("" if p.default is p.empty else f" = {p.default}") for p in definition.parameters.values()
    )
    facts = [f"unit: {definition.unit}", f"better: {definition.better}", f"side: {definition.traits.side}"]
    facts += [f"parameters: {parameters}"] if parameters else []
    facts += [f"needs: {', '.join(sorted(definition.needs))}"] if definition.needs else []
    facts += [f"source: {definition.cites}"] if definition.cites else []
    return f"### {definition.name}\n\n*{'; '.join(facts)}*\n\n{emphasised(inspect.getdoc(definition.function) or '')}\n"


def emphasised(text: str) -> str:
    for label in LABELS:
        text = text.replace(f"\n\n{label}", f"\n\n**{label}**")
    return text


def simulation_of(text: str) -> str:
    """What stands between the marks."""
    return text.partition(BEGIN)[2].partition(END)[0]


INTRODUCTION = """# Metrics

<!-- made by docs/metrics_page.py from the docstrings; change those -->

`evalkit metrics` lists them and `evalkit metrics NAME` prints what stands here. A metric is a number on one prompt's k
completions; the estimate is the mean over prompts, with [an interval](intervals.md). Read
[the fair comparison](fair-comparison.md) first: what must be equal before two numbers may be compared. What each family
tells a newcomer:
[words](words.md), [meaning](meaning.md), [the distribution itself](distribution.md), [coverage](coverage.md),
[voices](voices.md), [quality](quality.md), [valid sets](valid-sets.md), [the question](prompt-information.md).

What counts which answers say the same goes by embeddings; `classifier/distinct_k`, `judge/distinct_k`,
`given/distinct_k` and the like [have somebody else tell](classes.md).

A measure is written as its name with its parameters: `distinct_n|n:3`, in YAML also `{distinct_n: {n: 3}}`; a yes or no
is `true` or `false`, what is left open is `none`. Wherever a name is typed (suites, `--metrics`, policies, `--metric`,
`evalkit metrics`) it is also understood as people write it: `distinct-3`, `Self-BLEU`, `ngram_entropy_3`, `pass@8`,
`best_of@4`, `vendi@2`. A number behind a name sets n, k or q, whichever the metric has; where two metrics would do, `@`
says k: `distinct-2` is distinct n-grams, `distinct@8` distinct answers among 8. Either way it is one measure, and run,
summary and signature have its full name. [How far the estimators can be trusted](#simulation) stands at the end.
"""

SIMULATION = """## Simulation

In the lab the distribution of every prompt is known, so that bias and intervals can be checked.
`python -m bench.estimators` draws completions from the grammar and from its exact optimum under the scholars, and asks:
how far is the mean at k = 32 from the limit for ever more completions; how often do 95 % intervals over 60 prompts hold
the mean over all prompts, and the mean difference; how often is a difference between two draws of the same distribution
called one.

{table}

*Less its limit* is exact for `sequence_entropy` and the divergences; for the others the limit is their value on 4 000
completions of a prompt. Where it is far from 0 the metric depends on k by its nature, and only equal k compares, which
is what a run does. Not simulated: what is exact for every prompt (choices, references) or needs a model's whole
next-token distributions (token_entropy, rank_decay), whose tests are against enumeration; voices and MAUVE, whose
intervals have tests of their own; `prompt_information`, which has
[one of its own](prompt-information.md#how-far-it-can-be-trusted); and scores, which are means. The last column is a
little high by the simulation itself: each distribution's groups are drawn once, so two draws of one differ a little in
every trial.

What compares arms, or reads more off them than a mean over prompts, has simulations on its own page:

| figure | bias | 95 % intervals hold the truth in | simulated suites |
|---|---|---|---|
| [homogeneity](homogeneity.md) between arms | none at any k: a mean over pairs | 95.5 to 96.9 % | 8 to 110 prompts, 2 and 16 completions |
| [what was lost, split](lost.md): the loss, bad answers, good answers | at most 2 % of the loss at 64 prompts | 93.1 to 96.8 %; 90.1 % of bad answers' on 12 prompts of which 60 % are left out | 12 to 64 prompts, a base that is right in 10 to 50 % |
| its share of bad answers | a ratio: none is told where the loss is not clear | 91.7 to 96.3 % | the same |
| [`prompt_information`](prompt-information.md#how-far-it-can-be-trusted) | none for the prompts that are compared; tells too little of a whole suite's, the less the fewer others | 93.3 to 98.7 %, of differences 91.7 to 98.3 % | 20 to 110 questions, 4 and 8 others |
| measures over [classes that are told](classes.md#how-far-to-trust-it) | −0.1 to +0.5 % | 95.0 to 97.0 % | 60 prompts, 20 classes, 32 answers |
| [words gained and lost](words-gained.md#does-it-keep-its-word): z | standard deviation 0.98 to 1.02 where no word moved | p < 0.05 where no word moved: 1.1 to 5.1 % | 12 to 200 prompts |
| [decoding paths](decoding-paths.md#is-it-so-simulations-and-the-lab): crossings and trades | straight lines between settings: 0.010 of temperature in the lab | 90.5 % (200 prompts, where that shows) to 100 % | 12 to 200 prompts |
| [where it changed](where-it-changed.md#how-often-it-errs-and-what-it-finds) | intervals are widened for having been chosen | 92.3 to 100 % of those named; anything named where nothing changed: at most 0.7 % | 120 prompts, six tags |

## Speed

`make bench` measures it beside its peers, in one run. On two CPU cores that had other work too: 100 000 completions of
64 words in groups of 64 take all lexical metrics together 22 s and 0.83 GiB, where `diversity` 0.3.1 would need 250
times as long for four of its own (`bench.volume`); as ONE group the dearest, self-BLEU, takes 20 s and 1.4 GiB
(`bench.one_group`). Self-BLEU of 5 000 texts is 42 times fast-bleu's speed and equal to it, ROUGE-L of all pairs 735
times rouge-score's, Vendi 11 to 21 times vendi-score's, and intervals with p-values of 20 metrics over 500 prompts
take some milliseconds (`bench.metrics`).
"""  # noqa: E501 (a row of a table is a line)


if __name__ == "__main__":
    PAGE.write_text(page(simulation_of(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "")), encoding="utf-8")
