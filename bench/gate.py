"""How often the gate errs, by simulation on the lab's checkpoints.

    python -m bench.gate [--trials N] [--groups N] [--write]

Completions of the creative suite are drawn from the lab's base, and from a checkpoint whose weights lie between those
of the base and of the mildest PPO rung, so near the rung (`MIXED`) that its Vendi score, an effective number of
completions, is a tenth lower. Groups of K completions are drawn once for each prompt and checkpoint; a trial picks
prompts, and a group of each, at random. The policy is the default one.

- A/A: two groups of the base, drawn anew. Nothing was lost; "nothing allowed" is where errors are most frequent.
- Loss: the mixed checkpoint against the base, at the size that `evalkit power` names from a pilot with both.
- In blocks: at the size that `evalkit power` names for blocks, looked at LOOKS times, until the verdict is settled.

`--write` puts the table into docs/gate.md.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from evalkit.checkpoints.folder import locate
from evalkit.checkpoints.spec import CheckpointSpec
from evalkit.gate.decide import GateDecision, GateOutcome, decide
from evalkit.gate.sides import Side
from evalkit.gate.stats.group_sequential import LOOKS, Look, in_blocks, look_sizes, looks_of
from evalkit.gate.stats.power import prompts_for, spread_of
from evalkit.inference.engines.base import open_engine
from evalkit.inference.plan import make_plan
from evalkit.inference.sampling_calls import Loaded
from evalkit.metrics.embeddings.encoder import encode
from evalkit.metrics.registry import parse
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.arrays import Array
from evalkit.records import Arm, Completion, Group, Prompt, Sampling
from evalkit.suite.gate_policy import DEFAULT, Allowance, Policy, Rule
from evalkit.suite.schema import Suite, load_suite

K = 32
LOSS = 0.1
POWER = 0.9
MIXED = 0.88
"""How far the lossy checkpoint lies from the base towards the rung."""
RUNG = "lab:ppo-1"
SPLITS = 8
ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gate.md"
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
LOOK_FRACTIONS = looks_of(look_sizes(LOOKS, LOOKS))
Values = dict[str, Array]
"""Measure -> (prompts, groups) values of one law."""


def mixed(folder: Path) -> Path:
    """A checkpoint between the lab's base and its rung."""
    base, rung = locate("lab:base"), locate(RUNG)
    shutil.copytree(base, folder)
    here, there = (load_file(place / "model.safetensors") for place in (base, rung))
    weights = {name: torch.lerp(own, there[name], MIXED) for name, own in here.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def creative(every: int) -> Suite:
    """The creative suite, or every so many-th of its prompts: they stand by kind, and kinds lose unequally."""
    whole = load_suite(ROOT / "suites" / "creative.yaml")
    return whole.model_copy(update={"prompts": whole.prompts[::every]})


def drawn(suite: Suite, places: Sequence[str], groups: int, seed: int) -> list[list[list[Group]]]:
    """Of each checkpoint and each of the suite's prompts, so many groups of K completions, embedded."""
    specs = {f"c{i}": CheckpointSpec(path=place, kind="base") for i, place in enumerate(places)}
    asked = suite.model_copy(update={"checkpoints": specs, "baseline": "c0"})
    plan = make_plan(asked, "transformers")
    return [_drawn(loaded, asked.prompts, groups, seed + i) for i, loaded in enumerate(plan.checkpoints.values())]


def _drawn(loaded: Loaded, prompts: Sequence[Prompt], groups: int, seed: int) -> list[list[Group]]:
    by_prompt: dict[str, list[Completion]] = {prompt.id: [] for prompt in prompts}
    with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
        for completion in engine.sample(loaded.rendered, replace(SAMPLING, n=K * groups), seed, lambda *_: None):
            by_prompt[completion.prompt_id].append(completion)
    cut = [[by_prompt[p.id][turn * K : (turn + 1) * K] for turn in range(groups)] for p in prompts]
    made = [[Group(p, tuple(part)) for part in parts] for p, parts in zip(prompts, cut, strict=True)]
    flat = iter(embedded([group for own in made for group in own]))
    return [[next(flat) for _ in own] for own in made]


def embedded(groups: Sequence[Group]) -> list[Group]:
    texts = sorted({text for group in groups for text in group.texts})
    place = {text: index for index, text in enumerate(texts)}
    rows = encode(texts)
    return [group.embedded(rows[[place[text] for text in group.texts]]) for group in groups]


def measured(groups: Sequence[Group], shape: tuple[int, ...]) -> Values:
    return {str(m): np.array([m(group) for group in groups], dtype=np.float64).reshape(shape) for m in MEASURES}


@dataclass(frozen=True)
class World:
    """Values of both laws, and a pilot run of each with its halves."""

    base: Values
    lossy: Values
    pilot: dict[str, tuple[Array, Array, tuple[Array, Array]]]
    """Measure -> (lossy, base, halves of both), as `evalkit power` would have measured them."""


def build(groups: int, every: int = 1, seed: int = 0) -> World:
    """Draw all that the trials pick from; the pilot's groups are drawn besides."""
    with tempfile.TemporaryDirectory() as scratch:
        both = drawn(creative(every), ["lab:base", str(mixed(Path(scratch) / "mixed"))], groups + 1, seed)
    prompts = len(both[0])
    values = [measured([g for own in one for g in own[1:]], (prompts, groups)) for one in both]
    pilots = [[own[0] for own in one] for one in both]
    whole = [measured(pilot, (prompts,)) for pilot in pilots]
    halves = [_halves(pilot, seed) for pilot in pilots]
    names = map(str, MEASURES)
    pilot = {m: (whole[1][m], whole[0][m], (halves[1][m], halves[0][m])) for m in names}
    return World(values[0], values[1], pilot)


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


@dataclass(frozen=True)
class Sizes:
    """Prompts that `evalkit power` names for the planted metric."""

    at_once: int
    in_blocks: int


def named_sizes(world: World, family: int) -> Sizes:
    """At the level that so many tests leave it."""
    new, base, halves = world.pilot[PLANTED]
    margin = POLICY.rules[0].allow.margin
    spread = spread_of(new, base, halves, margin, K, same=False)
    beyond = (LOSS - margin.size) * abs(spread.level)
    found = prompts_for(spread, K, beyond, POLICY.alpha / family, POWER)
    assert found is not None, "a tenth of a Vendi score can be found"
    inflation = in_blocks(LOOK_FRACTIONS, POLICY.alpha / family, POWER).inflation
    return Sizes(found, math.ceil(found * inflation))


def lost(world: World) -> float:
    """The share of the planted metric that the mixed checkpoint lost."""
    return 1 - float(world.lossy[PLANTED].mean() / world.base[PLANTED].mean())


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
        Estimate(
            m,
            m,
            "arm",
            None,
            None,
            None,
            0.95,
            len(v),
            K,
            parse(m).definition.better,
            tuple(map(float, v)),
            parse(m).definition.traits,
        )
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
    return _rates([(decide(*pick(rng), [("arm", "arm")], policy), 1.0) for _ in range(trials)])


def blockwise(pick: Picker, policy: Policy, trials: int, prompts: int, seed: int = 0) -> Rates:
    rng = np.random.default_rng(seed)
    return _rates([_until_decided(*pick(rng), policy, look_sizes(prompts, LOOKS)) for _ in range(trials)])


def _rates(ended: Sequence[tuple[GateDecision, float]]) -> Rates:
    outcomes: list[GateOutcome] = [verdict.outcome for verdict, _ in ended]
    planted = [j.outcome == "regression" for verdict, _ in ended for j in verdict.judgements if j.metric == PLANTED]
    return Rates(
        outcomes.count("regression") / len(ended),
        outcomes.count("pass") / len(ended),
        float(np.mean(planted)),
        float(np.mean([used for _, used in ended])),
    )


def _until_decided(new: Side, old: Side, policy: Policy, sizes: Sequence[int]) -> tuple[GateDecision, float]:
    for index, size in enumerate(sizes):
        look = Look(looks_of(sizes), index)
        asked = new.summary.prompts[:size]
        verdict = decide(replace(new.only(asked), look=look), old.only(asked), [("arm", "arm")], policy)
        if verdict.outcome != "inconclusive":
            break
    return verdict, look.fraction


def table(world: World, trials: int) -> str:
    family, alone = named_sizes(world, len(MEASURES)), named_sizes(world, 1)
    rows = [
        ("A/A, nothing allowed", world.base, family, EDGE),
        ("A/A, 5 % allowed", world.base, family, POLICY),
        ("loss, 5 % allowed", world.lossy, family, POLICY),
        (f"A/A, {PLANTED} alone, 5 % allowed", world.base, alone, ALONE),
        (f"loss, {PLANTED} alone, 5 % allowed", world.lossy, alone, ALONE),
    ]
    lines = [
        f"{len(world.base[PLANTED])} creative prompts, {K} completions each, {len(MEASURES)} measures, {trials} trials "
        f"a row, at most {LOOKS} looks. Lost is {100 * lost(world):.1f} % of {PLANTED}.",
        "",
        f"| trials | form | prompts | regression | pass | cannot tell | {PLANTED} found | asked | of those at once |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for what, new, sizes, policy in rows:
        whole = at_once(picker(new, world.base, sizes.at_once), policy, trials)
        blocks = blockwise(picker(new, world.base, sizes.in_blocks), policy, trials, sizes.in_blocks)
        for form, size, rates in (("at once", sizes.at_once, whole), ("in blocks", sizes.in_blocks, blocks)):
            unclear = 1 - rates.regression - rates.passed
            cells = (
                rates.regression,
                rates.passed,
                unclear,
                rates.planted,
                rates.used,
                rates.used * size / sizes.at_once,
            )
            lines.append(f"| {what} | {form} | {size} | " + " | ".join(f"{100 * cell:.1f} %" for cell in cells) + " |")
    return "\n".join(lines)


def write(text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put a table between its marks in docs/gate.md."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, _, tail = rest.partition(end)
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")


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
