"""Preferences without raters: of a pool of completions a reward says which is chosen and which is rejected.

    checkpoint -> pools of completions -> rewards, diversity -> of each pool the best and the worst, or DivPO's pair

DivPO (Lanchantin et al. 2025) contrasts what is good and rare with what is bad and common. All completions whose reward
is near the pool's highest may be chosen, and the most diverse of them is; all near the lowest may be rejected, and the
least diverse of them is. With a threshold of 0 it is the best against the worst.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.errors import InputError
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.tokenize_13a import tokenize
from evalkit.preferences.files import Preference
from evalkit.records import Completion, Prompt
from evalkit.training.raters.config import DivPo, PrefsChooseConfig
from evalkit.training.raters.sampling import draw
from evalkit.training.raters.values import check_source, score_exchanges


def divpo_choice(rewards: Array, diversity: Array, threshold: float) -> tuple[int, int] | None:
    """Index of the chosen and of the rejected one of a pool, from its rewards and diversities, [k] each.

    `threshold` in [0, 1/2): the share of the range of rewards that is near an end. Of equally diverse ones the first is
    taken; None where all rewards are the same.
    """
    highest, lowest = rewards.max(), rewards.min()
    if highest == lowest:
        return None
    near = threshold * (highest - lowest)
    chosen = np.where(rewards >= highest - near, diversity, -np.inf).argmax()
    rejected = np.where(rewards <= lowest + near, diversity, np.inf).argmin()
    return int(chosen), int(rejected)


def word_rarity(texts: Sequence[str]) -> Array:
    """[k] how rare a text's words are in the pool: mean over its words of -log of the share of texts that have them.

    0 where every text has all of them, and for a text without words.
    """
    words = [set(tokenize(text)) for text in texts]
    texts_with = Counter(word for its in words for word in its)
    log_share = {word: float(np.log(count / len(texts))) for word, count in texts_with.items()}
    return np.array([-statistics.fmean(log_share[word] for word in sorted(its)) if its else 0.0 for its in words])


def improbability(completions: Sequence[Completion]) -> Array:
    """[k] -log-prob a token under the policy, nats: a mean, so that a long text is not diverse by its length.

    Raises `InputError` where log-probs are unknown.
    """
    if any(not completion.logprobs for completion in completions):
        raise InputError(
            "divpo.diversity is probability, but this engine does not tell log-probs of what it samples; use another "
            "engine, or diversity: word_frequency"
        )
    return np.array([-statistics.fmean(completion.logprobs) for completion in completions])


def choose_pairs(config: PrefsChooseConfig, engine: str, tell: Listener) -> list[Preference]:
    """Sample the pools of each prompt and choose a pair from each; pools that give none are dropped and counted.

    What was sampled is in the cache when something interrupts. Raises `InputError`s before anything is sampled,
    `EngineError`, and `InputError` when no pair is left.
    """
    check_source(config.reward)
    prompts = {prompt.id: prompt for prompt in config.prompts}
    drawn = draw(config, config.pairs * config.samples, engine, tell)
    pools = [drawn[begin : begin + config.samples] for begin in range(0, len(drawn), config.samples)]
    rewards = _rewards(config, prompts, drawn, tell)
    pairs = [_choose(config.divpo, prompts, pool, rewards) for pool in pools]
    preferences = [pair for pair in pairs if pair is not None]
    if not preferences:
        raise InputError(
            f"no pair came out of {len(pools)} pools: in each all completions that can be judged have the same reward; "
            "raise samples or sampling.temperature, or use another reward"
        )
    if len(preferences) < len(pools):
        tell.note(
            f"{len(pools) - len(preferences)} of {len(pools)} pools gave no pair: all that could be judged had the "
            "same reward"
        )
    return preferences


Rewards = Mapping[tuple[str, str], float]
"""(prompt id, text) -> reward; not finite where it cannot be judged."""


def _rewards(
    config: PrefsChooseConfig, prompts: Mapping[str, Prompt], drawn: Sequence[Completion], tell: Listener
) -> Rewards:
    """Of every different text."""
    texts = list(dict.fromkeys((row.prompt_id, row.text.strip()) for row in drawn if row.is_answer))
    tell.stage("rewards", len(texts))
    values = score_exchanges(config.reward, [(prompts[prompt], text) for prompt, text in texts], tell)
    unjudged = sum(not np.isfinite(value) for value in values)
    if unjudged:
        tell.note(f"{unjudged} of {len(texts)} different completions cannot be judged by the reward, and are left out")
    return dict(zip(texts, values, strict=True))


def _choose(
    divpo: DivPo | None, prompts: Mapping[str, Prompt], pool: Sequence[Completion], rewards: Rewards
) -> Preference | None:
    """The pair of one pool; None where it gives none."""
    judged = [
        row for row in pool if row.is_answer and np.isfinite(rewards.get((row.prompt_id, row.text.strip()), np.nan))
    ]
    if not judged:
        return None
    texts = [row.text.strip() for row in judged]
    prompt = prompts[judged[0].prompt_id]
    threshold, diversity = (divpo.threshold, _diversity(divpo, judged)) if divpo else (0.0, np.zeros(len(judged)))
    choice = divpo_choice(np.array([rewards[prompt.id, text] for text in texts]), diversity, threshold)
    if choice is None:
        return None
    chosen, rejected = choice
    turns = tuple((turn.role, turn.content) for turn in prompt.messages)
    return Preference(prompt.text, texts[chosen], texts[rejected], prompt_id=prompt.id, turns=turns)


def _diversity(divpo: DivPo, judged: Sequence[Completion]) -> Array:
    if divpo.diversity == "probability":
        return improbability(judged)
    return word_rarity([row.text for row in judged])
