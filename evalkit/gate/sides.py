"""Which arms of two sides are compared, by which rules, and whether they may be: what a gate asks before it judges."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.analysis.effects import is_plain
from evalkit.errors import Incomparable, InputError, MetricError
from evalkit.gate.stats.group_sequential import Look
from evalkit.metrics.registry import is_by_prompt, parse, respell
from evalkit.metrics.summary import Estimate, Summary
from evalkit.plumbing.did_you_mean import did_you_mean
from evalkit.plumbing.prose import listed
from evalkit.plumbing.tokenizer import SPACED
from evalkit.records import NEUTRAL, Arm
from evalkit.runs.asked import asked_by, common_to, unlike
from evalkit.suite.gate_policy import GROUPS, Policy, Rule

COMMON = "--common-prompts"
"""What the option is called, for those who need it."""
Pair = tuple[str, str]
"""(arm of the new side, arm of the old side)."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    summary: Summary
    name: str
    """As the user called it."""
    suite_version: str = ""
    """Hash of all that the suite asks; empty where only a summary is known."""
    look: Look | None = None
    """At which look it was stopped, if it was: its numbers are then held against that look's boundaries."""
    folder: Path | None = None
    """The run's, where it is one."""
    is_part: bool = False
    """Whether prompts were left out of it, so that what is of all its prompts at once has no value."""

    def only(self, prompts: Sequence[str]) -> Side:
        """The side as if these prompts alone had been asked; those that it does not have are left to be missed."""
        index_of = {prompt: index for index, prompt in enumerate(self.summary.prompts)}
        kept = [prompt for prompt in prompts if prompt in index_of]
        indices = [index_of[prompt] for prompt in kept]
        is_part = self.is_part or len(kept) < len(index_of)
        return replace(
            self,
            summary=replace(
                self.summary,
                prompts=tuple(kept),
                estimates=tuple(_only(estimate, indices, is_part) for estimate in self.summary.estimates),
                differences=(),
                clusters=_at(self.summary.clusters, indices),
                asked=_at(self.summary.asked, indices),
            ),
            is_part=is_part,
        )


def _at(labels: Sequence[str], indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(labels[index] for index in indices) if labels else ()


def _only(estimate: Estimate, indices: Sequence[int], is_part: bool) -> Estimate:
    """Its mean and interval are of other prompts, and a gate makes its own.

    A value that is no single prompt's is one of a whole: the rest of them are not those of a part.
    """
    kept = not is_part or is_by_prompt(estimate.metric)
    values = tuple(estimate.values[index] if kept else None for index in indices)
    return replace(estimate, values=values, value=None, low=None, high=None, prompts=sum(v is not None for v in values))


def choose_pairs(new: Side, old: Side, requested: Sequence[Pair]) -> list[Pair]:
    """Which arms are compared: those asked for; else, in one run, each arm with its own baseline; else equal names.

    Of two files of texts with one arm each it is these two, whatever models they name.

    Between two runs these are all arms of the old side but its baselines, unless it has no others: the same base
    sampled twice says nothing of a release. Raises `Incomparable` where one of them is gone.
    """
    if requested:
        return list(requested)
    if new.summary != old.summary and is_one_text(new.summary) and is_one_text(old.summary):
        pairs = [(new.summary.arms[0].name, old.summary.arms[0].name)]  # named after models or files, which differ
    elif new.summary == old.summary:
        pairs = [(arm.name, arm.baseline) for arm in new.summary.arms if arm.baseline is not None]
    else:
        known = [arm.name for arm in new.summary.arms]
        released = [arm for arm in old.summary.arms if arm.baseline is not None] or old.summary.arms
        pairs = [(arm.name, arm.name) for arm in released]
        gone = [name for name, _ in pairs if name not in known]
        if gone:
            raise Incomparable(
                f"arm: {old.name} has {', '.join(gone)}, {new.name} has not; it has {_names(new)}: "
                "say which arms are compared with --arm NEW=OLD"
            )
    if not pairs:
        raise Incomparable(
            f"arm: there are none to compare: {new.name} has {_names(new)}, {old.name} has {_names(old)}; "
            "say which with --arm NEW=OLD"
        )
    return pairs


def is_one_text(summary: Summary) -> bool:
    """Whether it is of one arm that was made elsewhere."""
    return len(summary.arms) == 1 and summary.arms[0].sampling is None


def read_pair(text: str, new: Side, old: Side) -> Pair:
    """`NEW=OLD` apart. Names of arms may hold `=` themselves (`base@T=0.7`), and are looked up. Raises `InputError`."""
    pieces = text.split("=")
    splits = [("=".join(pieces[:cut]), "=".join(pieces[cut:])) for cut in range(1, len(pieces))]
    here, there = ({arm.name for arm in side.summary.arms} for side in (new, old))
    fitting = [pair for pair in splits if pair[0] in here and pair[1] in there] or splits
    if len(fitting) != 1:
        raise InputError(
            f"--arm {text!r} is not of the form NEW=OLD; {new.name} has {_names(new)}, {old.name} has {_names(old)}"
        )
    return fitting[0]


def refuse_incomparable(new: Side, old: Side, pairs: Sequence[Pair], policy: Policy) -> None:
    """Raise `Incomparable` that names everything in which the two sides differ and must not.

    Which prompts belong together is asked of `clusters.shared_clusters`, where it is needed.
    """
    reasons = [*_unlike_suites(new, old), *_unlike_arms(new, old, pairs)]
    if not reasons:
        reasons = [reason for pair in pairs for reason in _unlike_metrics(new, old, pair, policy)]
    if reasons:
        raise Incomparable("\n".join(dict.fromkeys(reasons)))


def _unlike_suites(new: Side, old: Side) -> list[str]:
    here, there = new.summary, old.summary
    reasons = []
    if here.suite != there.suite and not _are_texts(here, there):
        more = "; measure both again, or give both one name (score --suite)" if _made_elsewhere(here, there) else ""
        reasons.append(f"suite: {new.name} is of {here.suite!r}, {old.name} of {there.suite!r}{more}")
    if reason := unlike_prompts(new, old):
        reasons.append(reason)
    elif here.prompts != there.prompts:
        reasons.append(
            f"prompts: they are the same in another order; {COMMON} pairs them by their ids, or run one side again"
        )
    return reasons


def _are_texts(here: Summary, there: Summary) -> bool:
    """Whether both were measured on files of texts that tell what was asked: the name is then the file's alone."""
    return _made_elsewhere(here, there) and bool(here.asked and there.asked)


def _made_elsewhere(here: Summary, there: Summary) -> bool:
    return all(arm.sampling is None for arm in (*here.arms, *there.arms))


def unlike_prompts(here: Side, there: Side) -> str:
    """Which prompts the two did not ask alike, in a line that says what to do; empty where all are the same.

    Where a summary does not tell what each prompt asks, the whole suite's version must do.
    """
    is_told = bool(here.summary.asked and there.summary.asked)
    mine, theirs = (
        asked_by(side.summary) if is_told else dict.fromkeys(side.summary.prompts, "") for side in (here, there)
    )
    common = common_to(mine, theirs)
    if not common.is_all:
        difference = unlike(common, here.name, there.name)
        alike = f"the {len(common.prompts)}" if is_told else f"those of the other {len(common.prompts)}"
        remedy = f"{COMMON} goes by {alike} that both asked alike" if common.prompts else "they have none in common"
        return f"prompts: {difference}; {remedy}"
    versions = {side.suite_version for side in (here, there)} - {""}
    if len(versions) > 1 and not is_told:
        return (
            f"suite version: the prompts of {here.name} and {there.name} have the same names but other texts, "
            f"answers or references; {COMMON} goes by those that are the same, or run the old checkpoint on the new "
            "suite and save it anew"
        )
    return ""


def _unlike_arms(new: Side, old: Side, pairs: Sequence[Pair]) -> list[str]:
    reasons = []
    for pair in pairs:
        arms = []
        for name, side in zip(pair, (new, old), strict=True):
            arm = next((arm for arm in side.summary.arms if arm.name == name), None)
            if arm is None:
                reasons.append(f"arm: {side.name} has no arm {name!r}; it has {_names(side)}")
            else:
                arms.append(arm)
        if len(arms) == 2 and pair[0] == pair[1]:
            reasons += _unlike_sampling(*arms)
    return reasons


def _unlike_sampling(new: Arm, old: Arm) -> list[str]:
    """Arms of one name must have been drawn alike; two names may be compared across settings on purpose."""
    if new.sampling is None or old.sampling is None:
        return [] if new.sampling == old.sampling else [f"sampling: of arm {new.name!r} only one side's is known"]
    keys = ("temperature", "top_p", "min_p", *NEUTRAL, "max_tokens", "stop")
    changed = [(key, getattr(new.sampling, key), getattr(old.sampling, key)) for key in keys]
    changes = [f"{key} {now!r} against {was!r}" for key, now, was in changed if now != was]
    if new.best_of != old.best_of:
        changes.append(f"best_of {new.best_of} against {old.best_of}")
    return [f"sampling: arm {new.name!r} was drawn with {', '.join(changes)}"] if changes else []


def other_engines(new: Summary, old: Summary, pairs: Sequence[Pair]) -> list[str]:
    """A sentence for each two engines that drew what is compared: then a difference need not be the checkpoints'.

    Versions of one engine are not held against each other. Where an engine is not known nothing is said.
    """
    here, there = ({arm.name: arm.engine for arm in summary.arms} for summary in (new, old))
    drawn: dict[tuple[str, str], list[str]] = {}
    for arm, against in pairs:
        ours, theirs = here.get(arm, ""), there.get(against, "")
        if ours and theirs and ours.split()[0] != theirs.split()[0]:
            drawn.setdefault((ours, theirs), []).append(arm)
    return [
        f"{listed(arms)}: sampled with {ours}, the baseline with {theirs}; another engine may draw a little "
        "otherwise, so sample both with one before a small difference is believed"
        for (ours, theirs), arms in drawn.items()
    ]


def _unlike_metrics(new: Side, old: Side, pair: Pair, policy: Policy) -> list[str]:
    here, there = estimates_of(new.summary, pair[0]), estimates_of(old.summary, pair[1])
    reasons = []
    is_part = new.is_part or old.is_part
    for name in _needed(there, policy):
        ours, theirs = here.get(name), there[name]
        if ours is None:
            reasons.append(f"metric: {old.name} has {name}, {new.name} has not; measure it there too")
        elif is_part and not is_by_prompt(name):
            continue  # it has no values, and is judged as what cannot be told
        elif ours.samples != theirs.samples:
            reasons.append(f"n: {name} rests on {ours.samples} completions a prompt against {theirs.samples}")
        elif ours.signature != theirs.signature:
            unlike = _unlike_words(ours.signature, theirs.signature)
            reasons.append(f"signature: {name} is {ours.signature} against {theirs.signature}{unlike}")
    return reasons


def _unlike_words(ours: str, theirs: str) -> str:
    """What to do where the two sides' words were split by different tokenizers."""
    here, there = (
        dict(part.partition(":")[::2] for part in signature.split("|")).get("tok", SPACED)
        for signature in (ours, theirs)
    )
    if here == there:
        return ""
    return (
        f"; words were split by {here} against {there}: name one with "
        "`tokenizer:` in the suite, or --tokenizer of `evalkit score`, and measure both again"
    )


def estimates_of(summary: Summary, arm: str) -> dict[str, Estimate]:
    """Metric -> its estimate under one arm."""
    return {estimate.metric: estimate for estimate in summary.estimates if estimate.arm == arm}


def _needed(estimates: Mapping[str, Estimate], policy: Policy) -> list[str]:
    rules = select(estimates, policy)
    traded = [named(estimates, rule.trade.metric) for rule in rules.values() if rule.trade is not None]
    return list(dict.fromkeys((*rules, *traded)))


def select(estimates: Mapping[str, Estimate], policy: Policy) -> dict[str, Rule]:
    """Metric -> the rule it is judged by, in the summary's order. Raises `InputError` on a name that is not there."""
    chosen: dict[str, Rule] = {}
    said: dict[str, str] = {}
    for rule in policy.rules:
        for word in (word for word in rule.metrics if word in GROUPS):
            members = [m for m, e in estimates.items() if is_plain(m) and e.traits.side == word]
            chosen.update(dict.fromkeys(members, rule))
    for rule in policy.rules:
        for word in (word for word in rule.metrics if word not in GROUPS):
            metric = named(estimates, word)
            if said.setdefault(metric, word) != word:
                raise InputError(f"the policy names {metric} twice, as {said[metric]!r} and {word!r}; keep one")
            chosen[metric] = rule
    if not chosen:
        raise InputError(f"the policy's rules fit no metric that was measured; there are: {', '.join(estimates)}")
    return {metric: chosen[metric] for metric in estimates if metric in chosen}


def is_named(estimates: Mapping[str, Estimate], rule: Rule, metric: str) -> bool:
    """Whether the rule names the metric, and not its side alone."""
    return any(named(estimates, word) == metric for word in rule.metrics if word not in GROUPS)


def named(estimates: Mapping[str, Estimate], name: str, asker: str = "the policy names") -> str:
    """The metric of this name, however it is spelled; a bare name will do where one metric alone has it.

    Raises `InputError`.
    """
    if name in estimates:
        return name
    spelled = _spelled(name)
    same = [spelling for spelling in spelled if spelling in estimates]
    if same:
        return same[0]
    bare = [metric for metric in estimates if metric.split("|")[0] in (name, *spelled)]
    if len(bare) == 1:
        return bare[0]
    if bare:
        raise InputError(f"{asker} metric {name!r}, which could be any of {', '.join(bare)}; write it out")
    raise InputError(
        f"{asker} metric {name!r}{did_you_mean(name, estimates)}, which was not measured; there are: "
        f"{', '.join(estimates)}"
    )


def _spelled(name: str) -> list[str]:
    """The names that a summary may have for it. Of a metric that is not known here, a plug-in's of elsewhere: none."""
    spellings = []
    with contextlib.suppress(MetricError):
        spellings.append(respell(name))
        spellings.append(str(parse(name)))
    return spellings


def _names(side: Side) -> str:
    return ", ".join(arm.name for arm in side.summary.arms) or "none"
