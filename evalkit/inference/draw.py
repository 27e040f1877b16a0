"""What is missing is drawn: shards become calls, and what the calls draw becomes files of the run's folder."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evalkit.errors import EngineError
from evalkit.inference.drawn import Drawn, Elsewhere, drawn, sample
from evalkit.inference.engines.base import Engine, Metered, Progress, open_engine
from evalkit.inference.engines.openai_batch import OpenAIBatchEngine
from evalkit.inference.plan import Plan
from evalkit.inference.sampling_calls import Loaded, Shard, halves_of
from evalkit.inference.speeds import Speed, remember_speed
from evalkit.inference.workers.calls import Call, Load
from evalkit.inference.workers.crew import make_calls
from evalkit.inference.workers.places import Place
from evalkit.metrics.summary import Alarm
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import listed
from evalkit.plumbing.spread import spread
from evalkit.runs.folder import Store
from evalkit.runs.usage import Usage


@dataclass(frozen=True)
class Sampled:
    """What came of sampling a plan."""

    plan: Plan
    """The plan with the shards that are there: a call that was cut has its parts in its place."""
    completions: int
    """That were sampled now."""
    parts: Mapping[str, Sequence[Shard]]
    """Key of a shard that was missing -> what it was sampled as: itself, or what it was cut into."""
    alarms: tuple[Alarm, ...] = ()
    """Prompts that no engine survived."""


class Drawing:
    """Shards become calls, and their answers become files of the folder."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan = plan
        self._store = store
        manifest = store.manifest()
        self._run = manifest.run if manifest else ""
        self._sampled = 0
        self._parts: dict[str, list[Shard]] = {}
        self._refusals: dict[str, EngineError] = {}
        self._alarms: list[Alarm] = []
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)

    def load(self, members: Sequence[Loaded], shards: Sequence[Shard]) -> Load:
        """All that is missing of checkpoints that share a load."""
        checkpoints = tuple(loaded.checkpoint for loaded in members)
        doing = f"sample {listed([checkpoint.name for checkpoint in checkpoints])}"
        longest = max(loaded.max_length for loaded in members)
        calls = tuple(self._call(shard, shard.key) for shard in spread(shards))
        return Load(doing, members[0].engine, checkpoints, longest, calls)

    def draw(self, place: Place, loads: Sequence[Load], tell: Listener) -> None:
        """Make all calls of engines at a place, and remember how fast that went."""
        for work in make_calls(place, loads, tell):
            speeds: dict[str, Speed] = {}
            for checkpoint, seconds in work.busy.items():
                loaded = self._plan.checkpoints[checkpoint]
                speed = self._tallies[checkpoint].speed(work.loading, seconds / work.replicas)
                weights = loaded.checkpoint.fingerprint
                speeds[weights] = speed.after(speeds[weights]) if weights in speeds else speed
                remember_speed(loaded, speeds[weights], self._store.notice)

    def submit(self, loaded: Loaded, shards: Sequence[Shard], tell: Listener) -> None:
        """Ask for all calls in a batch, which a server works off when it likes."""
        with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
            assert isinstance(engine, OpenAIBatchEngine)
            engine.submit_calls(shards, self._store.folder, tell)

    def collect(self, loaded: Loaded, shards: Sequence[Shard], tell: Listener) -> None:
        """Wait for a batch, and take in what it draws."""
        name = loaded.checkpoint.name
        began = time.monotonic()
        with open_engine(loaded.engine, loaded.checkpoint, loaded.max_length) as engine:
            assert isinstance(engine, OpenAIBatchEngine)
            tell.stage(f"sample {name}", sum(shard.size for shard in shards))
            for call in engine.sample_calls(shards, self._store.folder, tell):
                shard = shards[call.place]
                self._keep(shard, shard.key, self._write(shard, drawn(shard, self._run, call.completions, call.usages)))
        speed = self._tallies[name].speed(0.0, time.monotonic() - began)
        remember_speed(loaded, speed, self._store.notice)

    def sampled(self) -> Sampled:
        """What came of it. Raises `EngineError` where an arm has no answers at all."""
        plan = self._plan.with_parts(self._parts)
        for arm, error in self._refusals.items():
            if not plan.shards_of(arm):
                raise error
        return Sampled(plan, self._sampled, self._parts, tuple(self._alarms))

    def _call(self, shard: Shard, planned: str) -> Call:
        """A shard as a call; `planned` is the key of the one that it is, or is a part of."""
        loaded = self._plan.checkpoints[shard.arm.checkpoint]

        def ask(engine: Engine, progress: Progress) -> Drawn:
            if isinstance(engine, Elsewhere):
                answer: Drawn = engine.apply(sample, shard, self._run, progress=progress)
                return answer
            used: list[Usage] = []
            if isinstance(engine, Metered):
                engine.meter = used.append
            try:
                return sample(engine, shard, self._run, used, progress=progress)
            except BaseException:
                if used:  # of a server, which is asked in the thread that keeps the folder
                    self._store.note_unfinished(shard.arm.name, used)
                raise

        def halves(of_one_prompt: bool) -> list[Call]:
            return [self._call(half, planned) for half in halves_of(shard, loaded, of_one_prompt)]

        return Call(
            loaded.checkpoint,
            shard.size,
            ask,
            keep=lambda answer: self._keep(shard, planned, answer),
            halves=halves,
            refuse=lambda error: self._refuse(shard, planned, error),
            write=lambda answer: self._write(shard, answer),
            kind=shard.distribution,
            # With more room answers get longer, though not by as much.
            expected=math.sqrt(shard.sampling.max_tokens),
        )

    def _write(self, shard: Shard, answer: Drawn) -> Drawn:
        self._store.put_content(shard.key, answer.content, shard.shared, shard.distribution)
        return answer

    def _keep(self, shard: Shard, planned: str, answer: Drawn) -> None:
        self._tallies[shard.arm.checkpoint].add(shard, answer)
        self._parts.setdefault(planned, []).append(shard)
        self._sampled += shard.size

    def _refuse(self, shard: Shard, planned: str, error: EngineError) -> None:
        """No engine survives it: it is named and goes without answers."""
        names = listed([repr(prompt.prompt_id) for prompt in shard.prompts])
        self._parts.setdefault(planned, [])
        self._refusals[shard.arm.name] = error
        self._alarms.append(
            Alarm(shard.arm.name, "no answers", f"prompt {names} has none, for no engine survives it: {error}")
        )


@dataclass
class _Tally:
    """What was drawn of one checkpoint."""

    tokens: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    prompt_tokens: int = 0
    prompt_letters: int = 0

    def add(self, shard: Shard, answer: Drawn) -> None:
        letters = {prompt.prompt_id: prompt.letters for prompt in shard.prompts}
        self.tokens[shard.distribution] += answer.tokens
        self.counts[shard.distribution] += shard.size
        self.stored += len(answer.content)
        self.prompt_tokens += sum(usage.prompt_tokens for usage in answer.usage)
        self.prompt_letters += sum(letters[usage.prompt_id] for usage in answer.usage)

    def speed(self, loading: float, seconds: float) -> Speed:
        return Speed(
            loading,
            seconds,
            self.counts.total(),
            dict(self.tokens),
            dict(self.counts),
            self.stored,
            self.prompt_tokens,
            self.prompt_letters,
        )
