"""A policy's training is read from the log in its folder; whatever is wrong with the log is no failure of the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.analysis.figure_data import FigureData, read_figure_data, to_json
from evalkit.checkpoints.checkpoint import Checkpoint
from evalkit.checkpoints.training_log import NAME, POINTS, Training, read_training, trainings_of
from evalkit.training.output.curves import Curves


def log(policy: Path, text: str) -> Path:
    policy.mkdir(parents=True)
    (policy / NAME).write_text(text, encoding="utf-8")
    return policy


def rows(*found: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in found)


def test_what_the_trainer_writes_is_found(tmp_path: Path) -> None:
    policy = tmp_path / "beta-0.1"
    with Curves(policy, 0) as curves:
        for update in range(3):
            curves.add({"update": update, "reward": update / 2, "kl": 1.0, "entropy": float("nan"), "score": 9.0})
    assert read_training("tuned", policy) == Training(
        "tuned", "update", 1, (0, 1, 2), (0.0, 0.5, 1.0), (1.0, 1.0, 1.0), (None, None, None)
    )


def test_a_long_log_becomes_means_of_neighbours(tmp_path: Path) -> None:
    policy = log(tmp_path / "policy", rows(*({"update": place, "reward": place} for place in range(2 * POINTS + 1))))
    found = read_training("tuned", policy)
    assert found is not None
    assert found.every == 3
    assert len(found.steps) <= POINTS
    assert (found.steps[:2], found.reward[:2]) == ((2, 5), (1.0, 4.0))
    assert found.steps[-1] == 2 * POINTS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json\n",
        '{"update": 1, "reward": 0.5}',  # half a line
        rows({"update": "first", "reward": 1.0}),
        rows({"update": None, "reward": 1.0}),
        rows({"update": 0, "loss": 1.0}),  # a training of another kind
        rows({"update": 0, "reward": "much", "kl": [1.0], "entropy": None}),
        '{"update": Infinity, "reward": 1.0}\n',
        "[" * 100_000 + "\n",
    ],
)
def test_a_log_that_says_nothing_is_no_training(tmp_path: Path, text: str) -> None:
    assert read_training("tuned", log(tmp_path / "policy", text)) is None


def test_a_missing_or_unreadable_log_is_no_training(tmp_path: Path) -> None:
    assert read_training("tuned", tmp_path / "policy") is None
    (tmp_path / "policy" / NAME).mkdir(parents=True)
    assert read_training("tuned", tmp_path / "policy") is None


def test_damaged_numbers_are_left_out_of_the_mean(tmp_path: Path) -> None:
    text = rows({"update": 0, "reward": 1.0, "kl": 2.0}) + '{"update": 1, "reward": NaN, "kl": 1e999}\n'
    found = read_training("tuned", log(tmp_path / "policy", text))
    assert found is not None
    assert (found.reward, found.kl) == ((1.0, None), (2.0, None))


def test_only_checkpoints_with_a_log_have_one(tmp_path: Path) -> None:
    log(tmp_path / "tuned", rows({"update": 0, "reward": 1.0}))
    places = {"base": str(tmp_path / "base"), "tuned": str(tmp_path / "tuned"), "served": "http://localhost:1/v1"}
    checkpoints = [Checkpoint(name, "tuned", place, place, place, None, "", "auto") for name, place in places.items()]
    assert [training.checkpoint for training in trainings_of(checkpoints)] == ["tuned"]


def test_a_training_survives_the_file(tmp_path: Path) -> None:
    found = read_training("tuned", log(tmp_path / "policy", rows({"update": 0, "reward": 1.0})))
    assert found is not None
    (tmp_path / "evidence.json").write_bytes(to_json(FigureData(trainings=(found,))))
    assert read_figure_data(tmp_path).trainings == (found,)
