"""The server is killed at random moments, a hundred times; no answer that a page had confirmed is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests import ROOT
from tests.preferences.annotate.served import Rater, rows

KILLS = 100
PAIRS = 500
MOST = 3
"""Confirmed answers after which a server is killed at the latest, and"""
LATEST = 0.01
"""seconds after that; every fifth is killed as it starts."""


class Insistent:
    """A rater whose page sends each answer until somebody confirms it."""

    def __init__(self, port: int) -> None:
        self.confirmed: list[tuple[int, str]] = []
        self._more = threading.Condition()
        self.may_end = threading.Event()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._pool = ThreadPoolExecutor(1)

    def start(self) -> None:
        self._work_done = self._pool.submit(self._work)

    def end(self) -> None:
        self.may_end.set()
        self._work_done.result()
        self._client.close()

    def wait_for(self, more: int) -> None:
        """Until so many more answers are confirmed."""
        with self._more:
            goal = len(self.confirmed) + more
            came = self._more.wait_for(lambda: len(self.confirmed) >= goal or self._work_done.done(), timeout=60)
        if self._work_done.done():
            self._work_done.result()  # raises what ended it
        assert came

    def _work(self) -> None:
        try:
            self._answer()
        finally:
            with self._more:
                self._more.notify()

    def _answer(self) -> None:
        generator = random.Random(1)
        view = self._sent("enter", {})
        while not self.may_end.is_set():
            pair = view["pair"]
            choice = generator.choice(["first", "second", "tie", "skip"])
            said = {"seat": pair["seat"], "opening": pair["opening"], "choice": choice, "seconds": 1.0}
            view = self._sent("answer", said)
            with self._more:
                self.confirmed.append((pair["seat"], choice))
                self._more.notify()

    def _sent(self, call: str, body: dict[str, object]) -> dict[str, dict[str, int]]:
        while True:
            try:
                reply = Rater(self._client, "ann").post(call, **body)
            except httpx.TransportError:  # killed
                continue
            assert reply.status_code == 200, reply.text
            told: dict[str, dict[str, int]] = reply.json()
            return told


@pytest.mark.slow
def test_no_answer_that_was_confirmed_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    path, moments = tmp_path / "answers.sqlite", random.Random(2)
    command = [sys.executable, "-m", "tests.preferences.annotate.kill_target", str(path), str(PAIRS)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
        assert target.stdin is not None
        assert target.stdout is not None
        ann = Insistent(int(target.stdout.readline()))
        ann.start()
        for kill in range(KILLS + 1):
            target.stdin.write("\n")
            target.stdin.flush()
            server = int(target.stdout.readline())
            try:
                if kill == KILLS:
                    ann.end()
                elif kill % 5:
                    ann.wait_for(moments.randint(0, MOST))
                threading.Event().wait(moments.uniform(0, LATEST))
            finally:
                os.kill(server, signal.SIGKILL)
        target.stdin.close()
        assert target.wait(timeout=30) == 0
    file = rows(path)
    seats = {row[0]: row[3] for row in file["seats"]}
    stored = {answer[1]: said(seats[answer[1]], answer[3]) for answer in file["answers"]}
    assert len(stored) == len(file["answers"])  # none twice
    assert stored == dict(ann.confirmed)
    assert len(ann.confirmed) > KILLS


def said(first: str, choice: str) -> str:
    """A choice as the page tells it, of a pair of which `first` was shown first."""
    return choice if choice not in ("a", "b") else ("first" if choice == first else "second")
