"""Alarms: what in the completions themselves makes the numbers untrustworthy, in plain words. Pure.

Seed bugs look like mode collapse: replicas with the same seed draw the same texts. Two exact tests tell them
apart, both by betting (Ville 1939; Waudby-Smith & Ramdas 2024). A bettor with one coin stakes on each outcome at odds
that are fair, or worse for him, if nothing is wrong; so he reaches X coins with a chance of at most 1/X, whatever
the distribution of the texts. Both tests together raise a false alarm in at most 1 of 1 000 runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.clusters import clusters_of, sized
from evalkit.analysis.comparison.openings import opening_of
from evalkit.analysis.intervals import FEW, units
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.scripts import main_script
from evalkit.plumbing.tokenizer import SPACED
from evalkit.records import Arm, Group, Groups

FALSE_ALARMS = 1e-3
"""Chance of a false alarm of the two tests in a whole run, shared out over arms and shifts of the sample index."""
SLACK = 1.1
"""Repeats are allowed this much more often than log-probs say: those of half-precision models are some percent off."""
SHARE = 0.05
"""A larger share of truncated or of empty completions is an alarm."""
COMMON = 0.25
"""A text is given whatever is asked where this share of the prompts get it; this share of such texts is an alarm."""
PHRASE, FEWEST_ASKED, MANY = 4, 4, 3
"""Words below which a text may well answer many prompts, prompts below which none are many, and the fewest that are."""
FEWEST_OPENING = 3
"""Words below which what all answers begin with is not worth an alarm."""
LENGTH = 0.2
"""Mean lengths further apart than this share of the baseline's are an alarm."""
_STAKES = np.array([1.1, 1.5, 2.0, 4.0, 10.0, 30.0, 100.0, 1000.0])
"""Factors a hit wins by, an equal part of the coin on each: small ones see small excesses, large ones rare events."""

LONG_WORD = 15
"""Mean characters a word above which it is none: English has 5, Finnish 8, a Chinese sentence without spaces 20."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def alarms(arms: Sequence[Arm], groups: Groups) -> list[Alarm]:
    """Every alarm, arm by arm; `groups` holds each arm's groups by its name.

    Kinds: "duplicates", "seeds", "withheld", "truncated", "empty", "same answer", "opening", "words", "script",
    "length", "unpaired", "few shared prompts", "same texts".
    """
    lengths = {name: _mean_words(of_arm) for name, of_arm in groups.items()}
    level = FALSE_ALARMS / (2 * max(1, len(arms)))
    raised: list[Alarm] = []
    for arm in arms:
        of_arm = groups.get(arm.name, ())
        if any(group.completions for group in of_arm):
            raised += [
                *_duplicates(arm, of_arm, level),
                *_seeds(arm, of_arm, level),
                *_rates(arm, of_arm),
                *_same_answer(arm, of_arm),
                *_opening(arm, of_arm),
                *_unsplit_words(arm, of_arm),
                *_script(arm, groups),
                *_length(arm, lengths, of_arm[0].tokenizer),
                *_beside_baseline(arm, of_arm, groups.get(arm.baseline or "", ())),
            ]
    return raised


def _duplicates(arm: Arm, groups: Sequence[Group], level: float) -> Iterator[Alarm]:
    """More completions equal to an earlier one of their prompt than the model's own probabilities allow.

    Given the draws before it, a draw repeats one of them with the probability that the model gives to those
    together, which their log-probs tell. Nothing is estimated, so it holds for peaked and for flat distributions.
    """
    completions = [completion for group in groups for completion in group.completions]
    if not arm.is_raw or not all(c.logprobs and c.token_ids for c in completions):
        return
    hits, chances = np.empty(len(completions)), np.empty(len(completions))
    row = 0
    for group in groups:
        seen: set[tuple[int, ...]] = set()
        mass = 0.0
        for completion in group.completions:
            repeats = completion.token_ids in seen
            hits[row], chances[row] = repeats, mass
            row += 1
            if not repeats:
                seen.add(completion.token_ids)
                mass += math.exp(sum(completion.logprobs))
    coins = _log_coins(hits[:, None], np.minimum(1.0, SLACK * chances)[:, None])[0]
    if coins >= -math.log(level):
        yield Alarm(
            arm.name,
            "duplicates",
            f"{hits.sum():.0f} of {len(hits)} completions repeat an earlier one of the same prompt, where the model's "
            f"own probabilities allow {chances.sum():.1f}. This is a seed bug more often than mode collapse; "
            "diversity reads too low.",
        )


def _seeds(arm: Arm, groups: Sequence[Group], level: float) -> Iterator[Alarm]:
    """Equal completions concentrated at one distance between sample indices, at any temperature.

    Independent draws are exchangeable, so a prompt's equal pairs fall on every distance in proportion to the pairs that
    far apart.
    """
    if not arm.is_independent:
        return
    codes = _codes(groups)
    prompts, k = codes.shape
    if k < 2:
        return
    shifts = np.arange(1, k)
    pairs = np.stack([(codes[:, s:] == codes[:, :-s]).sum(axis=1) for s in shifts], axis=1)
    expected = pairs.sum(axis=1, keepdims=True) * (k - shifts) / (k * (k - 1) / 2)
    # A class of c equal texts has at most c - 1 pairs at any one distance.
    repeats = k - 1 - codes.max(axis=1, keepdims=True)
    most = np.maximum(1, np.minimum(k - shifts, repeats))
    coins = _log_coins(pairs / most, np.minimum(1.0, expected / most))
    worst = int(coins.argmax())
    if coins[worst] >= math.log((k - 1) / level):
        yield Alarm(
            arm.name,
            "seeds",
            f"equal completions lie {shifts[worst]} samples apart: {pairs[:, worst].sum()} of "
            f"{prompts * (k - shifts[worst])} pairs that far apart are equal, where chance allows "
            f"{expected[:, worst].sum():.1f}. Replicas or requests drew with the same seeds; sample again "
            "with seeds that differ.",
        )


def _rates(arm: Arm, groups: Sequence[Group]) -> Iterator[Alarm]:
    completions = [completion for group in groups for completion in group.completions]
    truncated = sum(completion.finish_reason == "length" for completion in completions) / len(completions)
    empty = sum(not completion.text or completion.text.isspace() for completion in completions) / len(completions)
    withheld = sum(completion.finish_reason == "withheld" for completion in completions)
    if withheld:
        yield Alarm(
            arm.name,
            "withheld",
            f"{withheld:,} of the {len(completions):,} completions end where the provider refused or filtered the "
            "rest: what they would have said is not known.",
        )
    if truncated > SHARE:
        yield Alarm(
            arm.name,
            "truncated",
            f"{truncated:.0%} of the completions were cut at max_tokens: every number describes the cut texts. "
            "Give answers more room (max_tokens), or say where one ends (stop).",
        )
    if empty > SHARE:
        yield Alarm(
            arm.name,
            "empty",
            f"{empty:.0%} of the completions are empty: diversity counts them as answers. "
            "Look at what the model sees of a prompt, and whether an answer may begin with a stop string.",
        )


def _same_answer(arm: Arm, groups: Sequence[Group]) -> Iterator[Alarm]:
    """Longer texts that are given to many prompts whatever they ask: refusals, or a template that broke."""
    prompts_of: dict[str, set[str]] = {}
    for group in groups:
        for text, words in zip(group.texts, group.words, strict=True):
            if len(words) >= PHRASE:
                prompts_of.setdefault(text, set()).add(group.prompt.id)
    if len(groups) < FEWEST_ASKED:
        return
    many = max(MANY, COMMON * len(groups))
    texts = {text: len(prompts) for text, prompts in prompts_of.items() if len(prompts) >= many}
    share = sum(text in texts for group in groups for text in group.texts) / sum(len(g.texts) for g in groups)
    if share > COMMON:
        most = max(texts, key=texts.__getitem__)
        yield Alarm(
            arm.name,
            "same answer",
            f"{share:.0%} of the completions are among {len(texts)} text{'s' * (len(texts) != 1)} that "
            f"{math.ceil(many)} of the {len(groups)} prompts get or more, such as “{most[:60]}”: refusals, or a "
            "prompt that does not reach it.",
        )


def _opening(arm: Arm, groups: Sequence[Group]) -> Iterator[Alarm]:
    opening = opening_of(groups)
    if len(opening) >= FEWEST_OPENING:
        yield Alarm(
            arm.name,
            "opening",
            f"nearly all of its answers begin with “{' '.join(opening)[:60]}”: measures of whole texts count that as "
            "sameness; length-matched variants leave it out.",
        )


def _script(arm: Arm, groups: Groups) -> Iterator[Alarm]:
    if arm.baseline is None or arm.baseline not in groups:
        return
    script, of_baseline = (
        main_script(text for group in groups[name] for text in group.texts) for name in (arm.name, arm.baseline)
    )
    if script and of_baseline and script != of_baseline:
        yield Alarm(
            arm.name,
            "script",
            f"its answers are written in {script}, those of {arm.baseline} in {of_baseline}: how various texts in two "
            "scripts are cannot be compared by their words, nor safely by their embeddings.",
        )


def _unsplit_words(arm: Arm, groups: Sequence[Group]) -> Iterator[Alarm]:
    """Prompts whose "words" are too long to be words, as those of scripts that the tokenizer does not know are."""
    answered = [group for group in groups if any(group.words)]
    too_long = [mean for mean in map(_word_length, answered) if mean > LONG_WORD]
    if len(too_long) > SHARE * len(answered):
        yield Alarm(
            arm.name,
            "words",
            f"on {len(too_long)} of {len(answered)} prompts a word has {min(too_long):.0f} characters or more on "
            f"average: the tokenizer {groups[0].tokenizer} cannot tell words there, and measures that count them say "
            "nothing of these texts. Ask for another, as in `tokenizer: char` (suite) or --tokenizer char (score).",
        )


def _word_length(group: Group) -> float:
    """Mean number of characters in a word."""
    words = sum(map(len, group.words))
    if sum(map(len, group.texts)) <= LONG_WORD * words:  # spaces counted too: cheap, and true of nearly all texts
        return 0.0
    return sum(len(word) for text in group.words for word in text) / words


def _length(arm: Arm, lengths: Mapping[str, float], tokenizer: str) -> Iterator[Alarm]:
    if arm.baseline is None or arm.baseline not in lengths:
        return
    length, of_baseline = lengths[arm.name], lengths[arm.baseline]
    unit = "words" if tokenizer == SPACED else f"words (tokenizer {tokenizer})"
    if abs(length - of_baseline) > LENGTH * of_baseline:
        yield Alarm(
            arm.name,
            "length",
            f"completions have {length:.1f} {unit} on average, those of {arm.baseline} {of_baseline:.1f}: lexical "
            "metrics depend on length; their length-matched variants do not.",
        )


def _beside_baseline(arm: Arm, of_arm: Sequence[Group], of_baseline: Sequence[Group]) -> Iterator[Alarm]:
    """Where few prompts are common to both, differences rest on these; where all texts are, one was given twice."""
    texts, baseline_texts = (
        {group.prompt.id: group.texts for group in groups if group.completions} for groups in (of_arm, of_baseline)
    )
    shared = [group.prompt for group in of_arm if group.prompt.id in texts and group.prompt.id in baseline_texts]
    if not shared:
        return
    prompts = len(texts.keys() | baseline_texts.keys())
    if len(shared) < prompts:
        yield Alarm(
            arm.name,
            "unpaired",
            f"{len(shared)} of {prompts} prompts have completions of {arm.baseline} too: differences are of these "
            "alone, while an arm's own value is over all prompts that it has.",
        )
        clusters = clusters_of(shared)
        if units(clusters, len(shared)) < FEW <= prompts:
            yield Alarm(
                arm.name,
                "few shared prompts",
                f"only {sized(len(shared), clusters)} shared with {arm.baseline}: few differences can be told from "
                f"chance; give both the same {FEW} or more",
            )
    drawn = sum(len(texts[prompt.id]) for prompt in shared)
    if drawn > 1 and all(tuple(texts[prompt.id]) == tuple(baseline_texts[prompt.id]) for prompt in shared):
        yield Alarm(
            arm.name,
            "same texts",
            f"all {drawn} completions are those of {arm.baseline}, draw by draw: most likely one file given twice, or "
            "the same weights with the same seed. A difference of nothing says nothing then.",
        )


def _log_coins(hits: Floats, chances: Floats) -> Floats:
    """Log of the coins a bettor ends with, for each column of outcomes.

    `hits` in [0, 1] with conditional mean at most `chances`. A stake of s turns one coin into
    s^hit / (1 + chance (s - 1)), whose mean is at most 1 because s^x is convex in x; so is that of the product over
    outcomes, and that of its mean over stakes.
    """
    ends = np.stack([hits.sum(axis=0) * np.log(s) - np.log1p(chances * (s - 1)).sum(axis=0) for s in _STAKES])
    log_mean: Floats = np.logaddexp.reduce(ends, axis=0) - np.log(len(_STAKES))
    return log_mean


def _codes(groups: Sequence[Group]) -> Ints:
    """(prompts, k) numbers counted up from 0, equal within a row exactly when the texts are; k is the least of all."""
    full = [group for group in groups if group.completions]
    k = min(len(group.completions) for group in full)
    codes = np.empty((len(full), k), dtype=np.int64)
    for row, group in zip(codes, full, strict=True):
        known: dict[str, int] = {}
        # Empty answers are alike for another reason than a seed: each counts as a text of its own.
        names = [
            completion.text if completion.text.strip() else f"\0{sample}"
            for sample, completion in enumerate(group.completions[:k])
        ]
        row[:] = [known.setdefault(name, len(known)) for name in names]
    return codes


def _mean_words(groups: Sequence[Group]) -> float:
    """Words a completion, as the measure `length` counts them; in a mean over all of them."""
    completions = sum(len(group.words) for group in groups)
    return sum(len(words) for group in groups for words in group.words) / completions if completions else 0.0
