"""How often the gate errs, by simulation in the lab, where the law of every prompt is known.

    python -m bench.gate [--trials N] [--groups N] [--write]

Completions are drawn from the grammar itself, and from the same grammar with every choice tilted towards its likelier
options until the Vendi score, an effective number of completions, is 10 % lower. Groups of K completions are drawn once
for each prompt and law; a trial picks prompts, and a group of each, at random. The policy is the default one.

- A/A: two groups of one law. Nothing was lost; "edge" allows nothing either, which is where errors are most frequent.
- Loss: the tilted law against the grammar's, at the size that `evalkit power` names from a pilot with both.
- In blocks: the same trials looked at LOOKS times, stopping when the verdict is settled.

`--write` puts the table into docs/gate.md.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from evalkit import records
from evalkit.comparable import Side
from evalkit.diversity.encoder import encode
from evalkit.gate import Outcome, Verdict, judge
from evalkit.lab.grammar import Prompt, Slot
from evalkit.lab.optimum import softmax
from evalkit.lab.world import load
from evalkit.measure import parse
from evalkit.policy import DEFAULT, Allowance, Policy, Rule
from evalkit.power import prompts_for, spread_of
from evalkit.records import Arm, Completion, Estimate, Group, Sampling, Summary
from evalkit.sequential import Look, look_sizes, looks_of
from evalkit.stats import Array
from evalkit.words import tokenize

K = 32
PILOT = 60
"""Prompts of a pilot run."""
LOSS = 0.1
POWER = 0.9
LOOKS = 10
SPLITS = 8
PAGE = Path(__file__).parent.parent / "docs" / "gate.md"
BEGIN, END = "<!-- python -m bench.gate -->", "<!-- end -->"
MEASURES = tuple(
    map(parse, ("vendi", "embedding_distance", "distinct_n", "ead_n", "self_bleu", "ngram_entropy", "sequence_entropy"))
)
PLANTED = "vendi"
POLICY = Policy(rules=(DEFAULT.rules[0],))
ALONE = Policy(rules=(Rule(metrics=(PLANTED,), allow=Allowance(relative=0.05)),))
EDGE = Policy(rules=(Rule(metrics=("diversity",), allow=Allowance(absolute=0)),))
SAMPLING = Sampling(n=K, temperature=1.0, top_p=1.0, min_p=0.0, max_tokens=99, stop=(), seed=0)
ARMS = (Arm("arm", "arm", "base", SAMPLING, None),)
Values = dict[str, Array]
"""Measure -> (prompts, groups) values of one law."""


def tilted(prompt: Prompt, tilt: float) -> Prompt:
    """The prompt with every probability raised to a power: above 1 the likelier gains, and variety falls."""

    def law(p: Sequence[float]) -> tuple[float, ...]:
        return softmax([tilt * float(np.log(one)) for one in p])

    weights = law([branch.probability for branch in prompt.branches])
    branches = [
        replace(
            branch,
            probability=weight,
            parts=tuple(replace(p, law=law(p.law)) if isinstance(p, Slot) else p for p in branch.parts),
        )
        for branch, weight in zip(prompt.branches, weights, strict=True)
    ]
    return replace(prompt, branches=tuple(branches))


def draw(prompt: Prompt, law: Prompt, rng: random.Random, k: int = K) -> Group:
    """So many completions; a text's log-prob is spread evenly over its words and its end."""
    completions = []
    for slot in range(k):
        text = law.sample(rng)
        parsed = law.parse(text)
        assert parsed is not None, "a law draws what it can make"
        count = len(tokenize(text)) + 1
        completions.append(Completion(prompt.id, slot, text, (0,) * count, (parsed[1] / count,) * count, "stop"))
    return Group(records.Prompt(prompt.id, prompt.text), tuple(completions))


def embedded(groups: Sequence[Group]) -> list[Group]:
    texts = sorted({text for group in groups for text in group.texts})
    place = {text: index for index, text in enumerate(texts)}
    rows = encode(texts)
    return [group.embedded(rows[[place[text] for text in group.texts]]) for group in groups]


def measured(groups: Sequence[Group], shape: tuple[int, ...]) -> Values:
    return {str(m): np.array([m(group) for group in groups], dtype=np.float64).reshape(shape) for m in MEASURES}


@cache
def open_prompts() -> tuple[Prompt, ...]:
    return load().of_kind("creative")


def plant(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The laws under which the mean of the planted metric is LOSS lower, found by bisection on draws of their own."""
    rng = random.Random(1)
    level = _level(prompts, prompts, rng)
    low, high = 1.0, 8.0
    for _ in range(9):
        tilt = (low + high) / 2
        lost = 1 - _level(prompts, [tilted(prompt, tilt) for prompt in prompts], random.Random(2)) / level
        low, high = (tilt, high) if lost < LOSS else (low, tilt)
    return [tilted(prompt, (low + high) / 2) for prompt in prompts]


def _level(prompts: Sequence[Prompt], laws: Sequence[Prompt], rng: random.Random) -> float:
    measure = parse(PLANTED)
    groups = embedded([draw(p, law, rng) for p, law in zip(prompts, laws, strict=True) for _ in range(4)])
    return float(np.mean([measure(group) for group in groups]))


@dataclass(frozen=True)
class World:
    """Values of both laws, and a pilot run of each with its halves."""

    base: Values
    lossy: Values
    pilot: dict[str, tuple[Array, Array, tuple[Array, Array]]]
    """Measure -> (lossy, base, halves of both), as `evalkit power` would have measured them."""


def build(groups: int, seed: int = 0) -> World:
    rng = random.Random(seed)
    prompts = open_prompts()
    laws = plant(prompts)
    values = [_pool(prompts, which, groups, rng) for which in (prompts, laws)]
    chosen = np.random.default_rng(seed).integers(len(prompts), size=PILOT)
    pilots = [embedded([draw(prompts[i], which[i], rng) for i in chosen]) for which in (prompts, laws)]
    whole = [measured(pilot, (PILOT,)) for pilot in pilots]
    halves = [_halves(pilot, seed) for pilot in pilots]
    names = map(str, MEASURES)
    pilot = {m: (whole[1][m], whole[0][m], (halves[1][m], halves[0][m])) for m in names}
    return World(values[0], values[1], pilot)


def _pool(prompts: Sequence[Prompt], laws: Sequence[Prompt], groups: int, rng: random.Random) -> Values:
    drawn = [draw(p, law, rng) for p, law in zip(prompts, laws, strict=True) for _ in range(groups)]
    return measured(embedded(drawn), (len(prompts), groups))


def _halves(pilot: Sequence[Group], seed: int) -> Values:
    """As `evalkit power` halves: (splits, 2, PILOT)."""
    rng = np.random.default_rng(seed)
    orders = [[rng.permutation(K) for _ in pilot] for _ in range(SPLITS)]
    parts = [
        group.only(order[half * K // 2 : (half + 1) * K // 2])
        for split in orders
        for half in range(2)
        for group, order in zip(pilot, split, strict=True)
    ]
    return measured(parts, (SPLITS, 2, len(pilot)))


def named_size(world: World, family: int) -> int:
    """Prompts that `evalkit power` names for the planted metric, at the level that so many tests leave it."""
    new, base, halves = world.pilot[PLANTED]
    margin = POLICY.rules[0].allow.margin
    spread = spread_of(new, base, halves, margin, K, same=False)
    beyond = (LOSS - margin.size) * abs(spread.level)
    found = prompts_for(spread, K, beyond, POLICY.alpha / family, POWER)
    assert found is not None, "a tenth of a Vendi score can be found"
    return found


Picker = Callable[[np.random.Generator], tuple[Side, Side]]


def picker(new: Values, base: Values, prompts: int) -> Picker:
    """A trial's two sides: prompts at random, and of each two different groups."""
    available, groups = base[PLANTED].shape

    def pick(rng: np.random.Generator) -> tuple[Side, Side]:
        chosen = rng.integers(available, size=prompts)
        here = rng.integers(groups, size=prompts)
        there = (here + rng.integers(1, groups, size=prompts)) % groups
        return _side({m: v[chosen, here] for m, v in new.items()}), _side(
            {m: v[chosen, there] for m, v in base.items()}
        )

    return pick


def _side(values: Values) -> Side:
    estimates = [
        Estimate(m, m, "arm", None, None, None, 0.95, len(v), K, parse(m).definition.better, tuple(map(float, v)))
        for m, v in values.items()
    ]
    prompts = tuple(f"p{i}" for i in range(len(values[PLANTED])))
    return Side(Summary("lab", prompts, ARMS, tuple(estimates), ()), "lab")


@dataclass(frozen=True)
class Rates:
    """What came of the trials."""

    regression: float
    passed: float
    planted: float
    """In which the planted metric itself was called a regression."""
    used: float
    """Mean share of the prompts that were drawn."""


def at_once(pick: Picker, policy: Policy, trials: int, seed: int = 0) -> Rates:
    rng = np.random.default_rng(seed)
    return _rates([(judge(*pick(rng), [("arm", "arm")], policy), 1.0) for _ in range(trials)])


def in_blocks(pick: Picker, policy: Policy, trials: int, prompts: int, seed: int = 0) -> Rates:
    rng = np.random.default_rng(seed)
    return _rates([_until_decided(*pick(rng), policy, look_sizes(prompts, LOOKS)) for _ in range(trials)])


def _rates(ended: Sequence[tuple[Verdict, float]]) -> Rates:
    outcomes: list[Outcome] = [verdict.outcome for verdict, _ in ended]
    planted = [j.outcome == "regression" for verdict, _ in ended for j in verdict.judgements if j.metric == PLANTED]
    return Rates(
        outcomes.count("regression") / len(ended),
        outcomes.count("pass") / len(ended),
        float(np.mean(planted)),
        float(np.mean([used for _, used in ended])),
    )


def _until_decided(new: Side, old: Side, policy: Policy, sizes: Sequence[int]) -> tuple[Verdict, float]:
    for index, size in enumerate(sizes):
        look = Look(looks_of(sizes), index)
        asked = new.summary.prompts[:size]
        verdict = judge(replace(new.only(asked), look=look), old.only(asked), [("arm", "arm")], policy)
        if verdict.outcome != "inconclusive":
            break
    return verdict, look.fraction


def table(world: World, trials: int) -> str:
    family, alone = named_size(world, len(MEASURES)), named_size(world, 1)
    rows = [
        ("A/A, nothing allowed", world.base, family, EDGE),
        ("A/A, 5 % allowed", world.base, family, POLICY),
        ("10 % lost, 5 % allowed", world.lossy, family, POLICY),
        (f"A/A, {PLANTED} alone, 5 % allowed", world.base, alone, ALONE),
        (f"10 % lost, {PLANTED} alone, 5 % allowed", world.lossy, alone, ALONE),
    ]
    lines = [
        f"{len(open_prompts())} creative prompts of the lab, {K} completions each, {len(MEASURES)} measures, {trials} "
        f"trials a row, at most {LOOKS} looks. Lost is 10 % of {PLANTED}.",
        "",
        f"| trials | prompts | form | regression | pass | cannot tell | {PLANTED} found | tokens |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for what, new, size, policy in rows:
        pick = picker(new, world.base, size)
        forms = (("at once", at_once(pick, policy, trials)), ("in blocks", in_blocks(pick, policy, trials, size)))
        for form, rates in forms:
            unclear = 1 - rates.regression - rates.passed
            cells = (rates.regression, rates.passed, unclear, rates.planted, rates.used)
            lines.append(f"| {what} | {size} | {form} | " + " | ".join(f"{100 * cell:.1f} %" for cell in cells) + " |")
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table between its marks in docs/gate.md."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--groups", type=int, default=16, help="groups drawn for each prompt and law")
    parser.add_argument("--write", action="store_true", help="put the table into docs/gate.md")
    asked = parser.parse_args()
    text = table(build(asked.groups), asked.trials)
    print(text)
    if asked.write:
        write(text)


if __name__ == "__main__":
    main()
