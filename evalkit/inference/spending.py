"""What a run's completions took of servers, by what these said of each request, and cost by the prices that are stated.

A shard says what its call's requests took, wherever it is copied to. So what several runs share is paid by the one that
asked, and a call that a resumed run finds done is counted once. A request's prompt counts once for all of its draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.checkpoints.spec import Price
from evalkit.inference.engines.decoding import GREEDY_BELOW
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Shard
from evalkit.runs.folder import Store
from evalkit.runs.manifest import Spending, Spent
from evalkit.runs.shards import Call
from evalkit.runs.usage import Usage


@dataclass(frozen=True)
class _Taken:
    """One call, and what an arm has of it."""

    call: Call
    parts: Sequence[Shard]
    is_own: bool
    """Whether this run made it."""

    @property
    def untold(self) -> int:
        """How many of its completions no server said anything of."""
        told: dict[str, int] = defaultdict(int)
        for usage in self.call.usage:
            told[usage.prompt_id] += usage.draws
        return sum(self._untold(part, told[prompt.prompt_id]) for part in self.parts for prompt in part.prompts)

    def _untold(self, part: Shard, told: int) -> int:
        """Of a prompt's draws in a part, where a server told of so many of all that the call asked for."""
        asked = 1 if part.kept.temperature < GREEDY_BELOW else len(self.call.sample_indices)
        return round(len(part.sample_indices) * max(0.0, 1 - told / asked))

    def shares(self) -> dict[str, float]:
        """Prompt -> which share of its draws the arm has."""
        draws: dict[str, int] = defaultdict(int)
        for part in self.parts:
            for prompt in part.prompts:
                draws[prompt.prompt_id] += len(part.sample_indices)
        return {prompt: count / len(self.call.sample_indices) for prompt, count in draws.items()}


def spending(plan: Plan, store: Store, own: Sequence[Shard]) -> dict[str, Spending]:
    """Arm -> what its completions took, for arms of which a server told something; `own`: what this run sampled."""
    keys = {shard.key for shard in own}
    unfinished = store.unfinished()
    told = {}
    for arm in plan.arms:
        if not plan.checkpoints[arm.checkpoint].checkpoint.is_remote:
            continue
        taken = _taken(plan.shards_of(arm.name), store, keys)
        lost = [usage for name, usage in unfinished if name == arm.name]
        if lost or any(one.call.usage for one in taken):
            told[arm.name] = _spending(taken, lost, plan.suite.checkpoints[arm.checkpoint].price)
    return told


def _taken(shards: Sequence[Shard], store: Store, own: set[str]) -> list[_Taken]:
    parts: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        parts[shard.key].append(shard)
    calls = {key: store.call(key) for key in parts}
    # Of a shard that does not tell of its call, all is taken to be the arm's, and nothing known.
    return [_Taken(calls[key] or members[0].call, members, key in own) for key, members in parts.items()]


def _spending(taken: Sequence[_Taken], lost: Sequence[Usage], price: Price | None) -> Spending:
    paid = [usage for one in taken if one.is_own for usage in one.call.usage]
    had = [(usage, one.shares().get(usage.prompt_id, 0.0)) for one in taken for usage in one.call.usage]
    stated = {} if price is None else {"price": price.model_dump()}
    return Spending(
        run=_spent([(usage, 1.0) for usage in (*paid, *lost)], price),
        completions=_spent([(usage, share) for usage, share in had if share], price),
        untold=sum(one.untold for one in taken),
        **stated,
    )


def _spent(usages: Sequence[tuple[Usage, float]], price: Price | None) -> Spent:
    """What requests took: their prompts whole, of their completions so much."""
    prompt_tokens = sum(usage.prompt_tokens for usage, _ in usages)
    completion_tokens = round(sum(usage.completion_tokens * share for usage, share in usages))
    spent = Spent(requests=len(usages), prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    return spent if price is None else spent.model_copy(update={"cost": price.of(prompt_tokens, completion_tokens)})
