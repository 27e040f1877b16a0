"""The batch interface of OpenAI and of those who speak it: all calls of a run at once, answered within a day.

Nothing depends on this process staying alive. What a batch asks lies in the run's folder before it is sent, each
request is named after its sampling call, and results are matched by that name. So whoever comes later waits for the
batches that are there, keeps what came, and asks only for what nobody was asked for or nobody answered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.errors import EngineError
from evalkit.inference.engines.answers import BadAnswer, read_choices, read_usage
from evalkit.inference.engines.base import Progress
from evalkit.inference.engines.batch_ledger import Batch, Ledger
from evalkit.inference.engines.batch_server import GONE, WAITS, BatchServer, State
from evalkit.inference.engines.batch_work import Answer, Call, Came, Request, Whole, Work, answer_of
from evalkit.inference.engines.openai import OPTIONAL, OpenAIEngine, completion_of, request_seeds
from evalkit.plumbing.progress import Listener
from evalkit.plumbing.prose import counted
from evalkit.records import Completion, Rendered, Sampling
from evalkit.runs.usage import Usage

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
"""Of one batch: OpenAI's limits."""


class OpenAIBatchEngine(OpenAIEngine):
    """Samples through the batch interface of the server at `checkpoint.location`."""

    name = "openai-batch"
    shard_size = 4096

    def __init__(self, checkpoint: Checkpoint, max_length: int) -> None:
        super().__init__(checkpoint, max_length)
        self._checkpoint = checkpoint

    def sample(
        self, prompts: Sequence[Rendered], sampling: Sampling, seed: int, progress: Progress
    ) -> list[Completion]:
        """One call by itself would take a day, and be lost with its process: see `sample_calls`."""
        raise EngineError("engine openai-batch is asked for all calls of a run together, in the run's folder")

    def submit_calls(self, calls: Sequence[Call], folder: Path, tell: Listener) -> None:
        """Have the server begin with what nobody was asked for yet, and say so. Raises `EngineError`, `StoreError`."""
        with self._opened(calls, folder) as (work, ledger, server):
            self._submit(work, ledger, server)
            for batch in self._open(work, ledger):
                tell.note(
                    f"batch {batch.id} asks {self._url} {counted(batch.requests, 'request')} of checkpoint "
                    f"{self._checkpoint.name!r}, which may take a day; it is looked after every {WAITS[2]:.0f} s. The "
                    "run may be ended meanwhile: the same command goes on with this batch"
                )

    def sample_calls(self, calls: Sequence[Call], folder: Path, tell: Listener) -> Iterator[Whole]:
        """The calls, as they become whole.

        Raises `EngineError` where requests are refused or batches were stopped; what came lies in the folder.
        """
        lacking = sum(len(call.prompts) * call.sampling.n for call in calls)
        with self._opened(calls, folder) as (work, ledger, server):
            while True:
                for whole in work.finished():
                    lacking -= len(whole.completions)
                    tell.advance(len(whole.completions), sum(len(one.token_ids) for one in whole.completions))
                    yield whole
                if work.is_done:
                    return
                self._submit(work, ledger, server)
                came = self._wait(work, ledger, server, tell)
                self._judge(came, self._leave_out_refused(came, ledger), len(work.next()), tell)
                tell.stage(f"collect {self._checkpoint.name}", lacking)

    @contextmanager
    def _opened(self, calls: Sequence[Call], folder: Path) -> Iterator[tuple[Work, Ledger, BatchServer]]:
        """What is asked for, with all that came of it before."""
        ledger = Ledger(folder)
        self._left_out.update(ledger.left_out(self._checkpoint.fingerprint))
        work = Work(calls)
        for batch in ledger.of(self._checkpoint.fingerprint):
            if batch.ended is not None:
                self._read(batch, State(batch.ended, 0), work, ledger, Came())
        server = BatchServer(self._url, ledger)
        try:
            yield work, ledger, server
        finally:
            server.close()

    def _submit(self, work: Work, ledger: Ledger, server: BatchServer) -> None:
        """Make batches of what no batch that is not over asks for, and see to it that all are created."""
        asked = {name for batch in self._open(work, ledger) for name in ledger.asked(batch)}
        requests = [request for request in work.next() if request.name not in asked]
        for part in batches_of([self._line(request) for request in requests]):
            # A checkpoint's prompts are conversations all, or none.
            ledger.add(self._checkpoint.fingerprint, _endpoint(requests[0].prompt), part)
        for batch in self._open(work, ledger):
            server.submit(batch)

    def _open(self, work: Work, ledger: Ledger) -> list[Batch]:
        """The batches that are not over, of those that ask for something wanted."""
        return [
            batch
            for batch in ledger.of(self._checkpoint.fingerprint)
            if batch.ended is None and any(work.request(name) for name in ledger.asked(batch))
        ]

    def _line(self, request: Request) -> bytes:
        sampling = request.call.sampling
        seed = request_seeds(request.call.seed, request.index, sampling.n)[request.start]
        settings = self._settings(request.prompt, sampling, request.n, seed)
        extras = settings.pop("extra_body")
        row = {"custom_id": request.name, "method": "POST", "url": _endpoint(request.prompt), "body": settings | extras}
        return json.dumps(row).encode() + b"\n"

    def _wait(self, work: Work, ledger: Ledger, server: BatchServer, tell: Listener) -> Came:
        """Wait until all batches are over; what they brought is then in the folder and in `work`."""
        waiting = self._open(work, ledger)
        came, over, shown = Came(), 0, 0
        strange: set[str] = set()
        pause, growth, longest = WAITS
        tell.stage(f"batches of {self._checkpoint.name}", sum(batch.requests for batch in waiting))
        while waiting:
            states = [(batch, self._state(batch, server)) for batch in waiting]
            for batch, state in states:
                if not state.is_known and state.status not in strange:
                    strange.add(state.status)
                    tell.note(f"{self._url} says that batch {batch.id} is {state.status!r}, and it is waited for")
            for batch, state in states:
                if state.is_over:
                    self._fetch(batch, state, work, ledger, server, came)
                    over += batch.requests
            waiting = [batch for batch, state in states if not state.is_over]
            done = max(shown, over + sum(state.done for _, state in states if not state.is_over))
            tell.advance(done - shown)
            shown = done
            if waiting:
                time.sleep(pause)
                pause = min(longest, pause * growth)
        return came

    def _state(self, batch: Batch, server: BatchServer) -> State:
        try:
            return server.state(batch)
        except EngineError as error:
            raise EngineError(f"{error}; batch {batch.id} goes on there, and the same command with it") from error

    def _fetch(self, batch: Batch, state: State, work: Work, ledger: Ledger, server: BatchServer, came: Came) -> None:
        if not server.fetch(batch):
            state = State(GONE, 0, "the server has its results no more")
        ledger.note(batch, ended=state.status)
        if state.status == "cancelled":
            came.cancelled.append(str(batch.id))
        self._read(batch, state, work, ledger, came)

    def _read(self, batch: Batch, state: State, work: Work, ledger: Ledger, came: Came) -> None:
        """Take what a batch brought: answers, and why there is none."""
        told = set()
        for row in ledger.rows(batch):
            request = work.request(row["custom_id"]) if row is not None else None
            if row is None or request is None:
                continue
            told.add(request.name)
            body, why, passing = answer_of(row)
            try:
                answer = None if body is None else self._answer(request, body)
            except BadAnswer as error:
                answer, why, passing = None, str(error), True
            if answer is not None:
                came.answered += work.take(request, answer)
            else:
                (came.lost if passing else came.refused)[why] += 1
        silent = sum(name not in told and work.request(name) is not None for name in ledger.asked(batch))
        if silent:
            came.lost[f"the batch is {state.status}{f': {state.why}' if state.why else ''}"] += silent

    def _answer(self, request: Request, body: Mapping[str, Any]) -> Answer:
        """Raises `BadAnswer`."""
        choices = read_choices(body, bool(request.prompt.messages))[: request.n]
        counts = read_usage(body)
        usage = Usage(request.prompt.prompt_id, len(choices), *counts) if counts else None
        return Answer(tuple(completion_of(request.prompt, 0, choice) for choice in choices), usage)

    def _leave_out_refused(self, came: Came, ledger: Ledger) -> bool:
        """Whether requests were refused for what the samples do not depend on; it is then not sent any more."""
        refused = {
            name: why for why in came.refused for name in OPTIONAL if name in why.lower() and name not in self._left_out
        }
        for name, why in refused.items():
            self._leave_out(name, f"the server refuses it ({why})")
        if refused:
            ledger.leave_out(self._checkpoint.fingerprint, sorted(self._left_out))
        return bool(refused)

    def _judge(self, came: Came, left_out: bool, lacking: int, tell: Listener) -> None:
        """Say that the rest is asked for again, or raise `EngineError` where that is no use or not ours to decide."""
        if not lacking:
            return
        rest = f"{counted(lacking, 'request')} of checkpoint {self._checkpoint.name!r}"
        kept = "what came is kept, and the same command asks for the rest"
        if came.cancelled:
            batches = ", ".join(came.cancelled)
            raise EngineError(f"{self._url}: somebody cancelled batch {batches}, and {rest} have no answer; {kept}")
        if (came.refused or not came.answered) and not left_out:
            raise EngineError(f"{self._url}: {rest} have no answer: {came.reasons}; {kept}")
        why = f": {came.reasons}" if came.reasons else ", for some brought fewer choices than they asked for"
        tell.note(f"{rest} are asked for again{why}")


def batches_of(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The requests cut into what one batch may hold."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and (len(part) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part


def _endpoint(prompt: Rendered) -> str:
    return "/v1/chat/completions" if prompt.messages else "/v1/completions"
