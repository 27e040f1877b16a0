"""Records that tests send to trackers: a made-up run of two arms, and a made-up training."""

from __future__ import annotations

from pathlib import Path

from evalkit.report.content.content import ReportContent
from evalkit.report.trackers import Record
from evalkit.report.trackers.run_record import prompt_table, scalars

PAGE = "<!doctype html><html><head><title>x</title></head><body>a page, ü</body></html>"
VALUE = "estimate/tuned/self_bleu"


def run_told(content: ReportContent, folder: Path) -> Record:
    return Record(
        name="a run",
        job="run",
        folder=folder,
        config={"suite": {"name": "creative", "sampling": {"n": 4}}, "command": ["evalkit", "run"], "fresh": False},
        headline="tuned draws from a narrower range than base.",
        page=PAGE,
        tags=("nightly", "v2"),
        scalars=scalars(content.summary),
        table=prompt_table(content.summary),
    )


def training_told(folder: Path) -> Record:
    curves = [{"update": step, "reward": step / 4, "kl": None if step == 2 else 0.5 * step} for step in range(4)]
    return Record(
        name="ppo-beta-0.1",
        job="train",
        folder=folder,
        config={"beta": 0.1},
        headline="the reward rose",
        page=PAGE,
        page_name="training.html",
        group="ppo",
        curves=curves,
    )
