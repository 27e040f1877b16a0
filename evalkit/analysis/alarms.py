"""Alarms: what in the completions themselves makes the numbers untrustworthy, in plain words. Pure.

Seed bugs look like mode collapse: replicas with the same seed draw the same texts. Two exact tests tell them
apart, both by betting (Ville 1939; Waudby-Smith & Ramdas 2024). A bettor with one coin stakes on each outcome at odds
that are fair, or worse for him, if nothing is wrong; so he reaches X coins with a chance of at most 1/X, whatever
the distribution of the texts. Both tests together raise a false alarm in at most 1 of 1 000 runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.clusters import clusters_of, sized
from evalkit.analysis.comparison.openings import opening_along
from evalkit.analysis.intervals import FEW, units
from evalkit.analysis.overview import LONG_WORD, Overview, Seen, look_at, raw_arms
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.scripts import main_of
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
FEWEST_ASKED, MANY = 4, 3
"""Prompts below which none are many, and the fewest that are."""
FEWEST_OPENING = 3
"""Words below which what all answers begin with is not worth an alarm."""
LENGTH = 0.2
"""Mean lengths further apart than this share of the baseline's are an alarm."""
_STAKES = np.array([1.1, 1.5, 2.0, 4.0, 10.0, 30.0, 100.0, 1000.0])
"""Factors a hit wins by, an equal part of the coin on each: small ones see small excesses, large ones rare events."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def alarms(arms: Sequence[Arm], groups: Groups, overview: Overview | None = None) -> list[Alarm]:
    """Every alarm, arm by arm; `groups` holds each arm's groups by its name, `overview` what was seen of them before.

    Kinds: "duplicates", "seeds", "withheld", "truncated", "empty", "same answer", "opening", "words", "script",
    "length", "unpaired", "few shared prompts", "same texts".
    """
    overview = look_at(groups, raw_arms(arms)) if overview is None else overview
    level = FALSE_ALARMS / (2 * max(1, len(arms)))
    raised: list[Alarm] = []
    for arm in arms:
        of_arm = overview.get(arm.name, ())
        if any(seen.completions for seen in of_arm):
            tokenizer = groups[arm.name][0].tokenizer
            raised += [
                *_duplicates(arm, of_arm, level),
                *_seeds(arm, of_arm, level),
                *_rates(arm, of_arm),
                *_same_answer(arm, of_arm, groups[arm.name]),
                *_opening(arm, of_arm, groups[arm.name]),
                *_unsplit_words(arm, of_arm, tokenizer),
                *_script(arm, overview),
                *_length(arm, overview, tokenizer),
                *_beside_baseline(arm, of_arm, overview.get(arm.baseline or "", ())),
            ]
    return raised


def _duplicates(arm: Arm, of_arm: Sequence[Seen], level: float) -> Iterator[Alarm]:
    """More completions equal to an earlier one of their prompt than the model's own probabilities allow.

    Given the draws before it, a draw repeats one of them with the probability that the model gives to those
    together, which their log-probs tell. Nothing is estimated, so it holds for peaked and for flat distributions.
    """
    repeats = [seen.repeats for seen in of_arm if seen.repeats is not None]
    if len(repeats) < len(of_arm):
        return
    hits, chances = (np.concatenate([getattr(one, name) for one in repeats]) for name in ("hits", "chances"))
    coins = _log_coins(hits[:, None], np.minimum(1.0, SLACK * chances)[:, None])[0]
    if coins >= -math.log(level):
        yield Alarm(
            arm.name,
            "duplicates",
            f"{hits.sum():.0f} of {len(hits)} completions repeat an earlier one of the same prompt, where the model's "
            f"own probabilities allow {chances.sum():.1f}. This is a seed bug more often than mode collapse; "
            "diversity reads too low.",
        )


def _seeds(arm: Arm, of_arm: Sequence[Seen], level: float) -> Iterator[Alarm]:
    """Equal completions concentrated at one distance between sample indices, at any temperature.

    Independent draws are exchangeable, so a prompt's equal pairs fall on every distance in proportion to the pairs that
    far apart.
    """
    if not arm.is_independent:
        return
    codes = _codes(of_arm)
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


def _rates(arm: Arm, of_arm: Sequence[Seen]) -> Iterator[Alarm]:
    completions = sum(seen.completions for seen in of_arm)
    truncated = sum(seen.truncated for seen in of_arm) / completions
    empty = sum(seen.empty for seen in of_arm) / completions
    withheld = sum(seen.withheld for seen in of_arm)
    if withheld:
        yield Alarm(
            arm.name,
            "withheld",
            f"{withheld:,} of the {completions:,} completions end where the provider refused or filtered the "
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


def _same_answer(arm: Arm, of_arm: Sequence[Seen], groups: Sequence[Group]) -> Iterator[Alarm]:
    """Longer texts that are given to many prompts whatever they ask: refusals, or a template that broke."""
    if len(of_arm) < FEWEST_ASKED:
        return
    by_prompt: dict[str, list[NDArray[np.uint64]]] = {}
    for seen in of_arm:
        by_prompt.setdefault(seen.prompt.id, []).append(seen.phrases.hashes)
    distinct = [np.unique(np.concatenate(hashes)) for hashes in by_prompt.values()]
    texts, prompts = np.unique(np.concatenate(distinct), return_counts=True)
    many = max(MANY, COMMON * len(of_arm))
    is_common = prompts >= many
    texts, prompts = texts[is_common], prompts[is_common]
    given = sum(int(seen.phrases.counts[np.isin(seen.phrases.hashes, texts)].sum()) for seen in of_arm)
    share = given / sum(seen.completions for seen in of_arm)
    if share > COMMON:
        most = _first_text(texts[prompts == prompts.max()], of_arm, groups)
        yield Alarm(
            arm.name,
            "same answer",
            f"{share:.0%} of the completions are among {len(texts)} text{'s' * (len(texts) != 1)} that "
            f"{math.ceil(many)} of the {len(groups)} prompts get or more, such as “{most[:60]}”: refusals, or a "
            "prompt that does not reach it.",
        )


def _first_text(hashes: NDArray[np.uint64], of_arm: Sequence[Seen], groups: Sequence[Group]) -> str:
    """The first of the arm's texts that has one of these hashes."""
    rows = ((row, np.flatnonzero(np.isin(seen.phrases.hashes, hashes))) for row, seen in enumerate(of_arm))
    row, places = next((row, places) for row, places in rows if places.size)
    return groups[row].texts[int(of_arm[row].phrases.firsts[places[0]])]


def _opening(arm: Arm, of_arm: Sequence[Seen], groups: Sequence[Group]) -> Iterator[Alarm]:
    opening = opening_along([seen.along for seen in of_arm], groups)
    if len(opening) >= FEWEST_OPENING:
        yield Alarm(
            arm.name,
            "opening",
            f"nearly all of its answers begin with “{' '.join(opening)[:60]}”: measures of whole texts count that as "
            "sameness; length-matched variants leave it out.",
        )


def _script(arm: Arm, overview: Overview) -> Iterator[Alarm]:
    if arm.baseline is None or arm.baseline not in overview:
        return
    script, of_baseline = (_main_script(overview[name]) for name in (arm.name, arm.baseline))
    if script and of_baseline and script != of_baseline:
        yield Alarm(
            arm.name,
            "script",
            f"its answers are written in {script}, those of {arm.baseline} in {of_baseline}: how various texts in two "
            "scripts are cannot be compared by their words, nor safely by their embeddings.",
        )


def _main_script(of_arm: Sequence[Seen]) -> str:
    letters: Counter[str] = Counter()
    for seen in of_arm:
        letters.update(seen.by_script)
    return main_of(letters)


def _unsplit_words(arm: Arm, of_arm: Sequence[Seen], tokenizer: str) -> Iterator[Alarm]:
    """Prompts whose "words" are too long to be words, as those of scripts that the tokenizer does not know are."""
    answered = [seen for seen in of_arm if seen.words]
    too_long = [seen.word_length for seen in answered if seen.word_length > LONG_WORD]
    if len(too_long) > SHARE * len(answered):
        yield Alarm(
            arm.name,
            "words",
            f"on {len(too_long)} of {len(answered)} prompts a word has {min(too_long):.0f} characters or more on "
            f"average: the tokenizer {tokenizer} cannot tell words there, and measures that count them say "
            "nothing of these texts. Ask for another, as in `tokenizer: char` (suite) or --tokenizer char (score).",
        )


def _length(arm: Arm, overview: Overview, tokenizer: str) -> Iterator[Alarm]:
    if arm.baseline is None or arm.baseline not in overview:
        return
    length, of_baseline = _mean_words(overview[arm.name]), _mean_words(overview[arm.baseline])
    unit = "words" if tokenizer == SPACED else f"words (tokenizer {tokenizer})"
    if abs(length - of_baseline) > LENGTH * of_baseline:
        yield Alarm(
            arm.name,
            "length",
            f"completions have {length:.1f} {unit} on average, those of {arm.baseline} {of_baseline:.1f}: lexical "
            "metrics depend on length; their length-matched variants do not.",
        )


def _beside_baseline(arm: Arm, of_arm: Sequence[Seen], of_baseline: Sequence[Seen]) -> Iterator[Alarm]:
    """Where few prompts are common to both, differences rest on these; where all texts are, one was given twice."""
    ours, theirs = ({seen.prompt.id: seen for seen in side if seen.completions} for side in (of_arm, of_baseline))
    shared = [seen.prompt for seen in ours.values() if seen.prompt.id in theirs]
    if not shared:
        return
    prompts = len(ours.keys() | theirs.keys())
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
    drawn = sum(ours[prompt.id].completions for prompt in shared)
    if drawn > 1 and all(ours[prompt.id].texts == theirs[prompt.id].texts for prompt in shared):
        empty = sum(ours[prompt.id].empty for prompt in shared)
        why = (
            f"all {drawn} completions are empty, as are those of {arm.baseline}: neither says anything that could be "
            "compared."
            if empty == drawn
            else f"all {drawn} completions are those of {arm.baseline}, draw by draw: most likely one file given "
            "twice, or the same weights with the same seed."
        )
        yield Alarm(arm.name, "same texts", f"{why} A difference of nothing says nothing then.")


def _log_coins(hits: Floats, chances: Floats) -> Floats:
    """Log of the coins a bettor ends with, for each column of outcomes.

    `hits` in [0, 1] with conditional mean at most `chances`. A stake of s turns one coin into
    s^hit / (1 + chance (s - 1)), whose mean is at most 1 because s^x is convex in x; so is that of the product over
    outcomes, and that of its mean over stakes.
    """
    ends = np.stack([hits.sum(axis=0) * np.log(s) - np.log1p(chances * (s - 1)).sum(axis=0) for s in _STAKES])
    log_mean: Floats = np.logaddexp.reduce(ends, axis=0) - np.log(len(_STAKES))
    return log_mean


def _codes(of_arm: Sequence[Seen]) -> Ints:
    """(prompts, k) numbers counted up from 0, equal within a row exactly when the texts are; k is the least of all."""
    full = [seen.codes for seen in of_arm if seen.completions]
    k = min(map(len, full))
    return np.stack([codes[:k] for codes in full]).astype(np.int64)


def _mean_words(of_arm: Sequence[Seen]) -> float:
    """Words a completion, as the measure `length` counts them; in a mean over all of them."""
    completions = sum(seen.completions for seen in of_arm)
    return sum(seen.words for seen in of_arm) / completions if completions else 0.0
