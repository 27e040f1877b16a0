"""The main job, for real: a suite is sampled, measured and reported; whatever interrupts it, nothing is sampled twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from evalkit.errors import EngineError, InputError
from evalkit.gate.baselines import read_side
from evalkit.gate.compare import compare_sides, read_named_side
from evalkit.gate.decide import decide
from evalkit.lab import CHECKPOINTS, TUNED
from evalkit.metrics.registry import split_variant
from evalkit.plumbing.progress import Quiet
from evalkit.report.content.read import read_content
from evalkit.report.page import build_report
from evalkit.run import Run, run_suite
from evalkit.suite.gate_policy import DEFAULT
from evalkit.suite.schema import load_suite, overrides

SUITE = {
    "name": "small",
    "checkpoints": {
        "base": {"path": "lab:base", "kind": "base"},
        "tuned": {"path": "lab:tuned", "kind": "tuned"},
    },
    "sampling": {"n": 128, "max_tokens": 40, "seed": 3},
    "metrics": [
        "distinct_n",
        "self_bleu",
        "length",
        "sequence_entropy",
        "accuracy",
        {"reward": {"model": "lab:reward"}},
    ],
}
ENGINE = "transformers"


def write_suite(folder: Path, **changes: Any) -> Path:
    root = Path(__file__).parent.parent / "suites"
    prompts = yaml.safe_load((root / "search.yaml").read_text(encoding="utf-8"))["prompts"][:10]
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(SUITE | {"prompts": prompts} | changes), encoding="utf-8")
    return path


def evalkit(*args: object, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "evalkit", *(str(arg) for arg in args)]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run_command(suite: Path, out: Path, *args: object, cache: Path) -> subprocess.Popen[str]:
    return evalkit("run", suite, "--engine", ENGINE, "--out", out, "--json-lines", *args, cache=cache)


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stderr is not None
    for line in process.stderr:
        yield json.loads(line)


def shards(run: Path) -> dict[str, tuple[int, int]]:
    """Name of every shard, with its inode and time: another inode would be another sampling."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (run / "completions").glob("[!.]*.parquet")
    }


def drawn(run: Path) -> dict[str, Any]:
    """Key of every shard, with all that it holds but the time: that alone may differ between two samplings of it."""
    paths = (run / "completions").glob("[!.]*.parquet")
    return {path.name.partition(".")[0]: pq.read_table(path).to_pydict() for path in paths}


def kill_in_the_middle(process: subprocess.Popen[str], run: Path, how: signal.Signals) -> None:
    """Wait until the first shard is there and the next is being sampled, then send the signal."""
    for event in events(process):
        if event.get("stage") == "sample base" and event["done"] and shards(run):
            process.send_signal(how)
            break
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    process = run_command(write_suite(folder), folder / "run", cache=folder / "cache")
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return folder


def use_cache_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def run_again(suite: Path, out: Path, **asked: Any) -> Run:
    defaults = {"models": {}, "samples": None, "temperature": None, "prompts": None}
    return run_suite(load_suite(suite, overrides(**(defaults | asked))), ENGINE, out, Quiet())


def spelled_as_folders(folder: Path) -> dict[str, str]:
    """The same weights: one where the lab has them, one copied elsewhere."""
    copy = folder / "copy"
    if not copy.exists():
        shutil.copytree(CHECKPOINTS / TUNED, copy)
    return {"base": str(CHECKPOINTS / "base"), "tuned": str(copy)}


def test_a_run_goes_on_whatever_its_checkpoints_are_called(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache_of(unbroken, monkeypatch)
    run = shutil.copytree(unbroken / "run", tmp_path / "run")
    before = shards(run)
    again = run_again(unbroken / "suite.yaml", run, models=spelled_as_folders(tmp_path))
    assert again.sampled == 0
    assert shards(run) == before
    assert again.summary == run_again(unbroken / "suite.yaml", run).summary


def test_what_was_sampled_under_another_name_comes_from_the_cache(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache_of(unbroken, monkeypatch)
    assert run_again(unbroken / "suite.yaml", tmp_path / "run", models=spelled_as_folders(tmp_path)).sampled == 0


def test_runs_of_the_same_weights_under_other_names_are_gated_and_compared(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache_of(unbroken, monkeypatch)
    run_again(unbroken / "suite.yaml", tmp_path / "run", models=spelled_as_folders(tmp_path))
    new, old = read_side(str(tmp_path / "run")), read_side(str(unbroken / "run"))
    verdict = decide(new, old, [("tuned", "tuned")], DEFAULT)
    assert {judgement.change for judgement in verdict.judgements} == {0}
    found = compare_sides(read_named_side(f"{unbroken / 'run'}:tuned"), read_named_side(f"{tmp_path / 'run'}:tuned"))
    assert {row.why_not for pair in found.pairs for row in pair.rows} == {""}


def test_a_run_leaves_all_that_is_promised(unbroken: Path) -> None:
    run = unbroken / "run"
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert manifest["state"] == "complete"
    assert manifest["versions"]["transformers"]
    assert len(manifest["identity"]["checkpoints"]["base"]["fingerprint"]) == 64
    assert {shard["seed"] for shard in manifest["shards"]}.__len__() == len(manifest["shards"])
    scores = pd.read_parquet(run / "scores.parquet")
    assert len(scores) == 2 * 2 * 10 * 128  # scores x arms x prompts x samples
    metrics = pd.read_parquet(run / "metrics.parquet")
    assert len(metrics) == (6 + 2 * 3) * 2 * 10  # distinct_n and self_bleu also useful, matched and pooled
    completions = pd.concat(pd.read_parquet(path) for path in (run / "completions").glob("*.parquet"))
    assert len(completions) == 2 * 10 * 128
    assert (run / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_the_summary_says_what_tuning_did(unbroken: Path) -> None:
    summary = json.loads((unbroken / "run" / "summary.json").read_text(encoding="utf-8"))
    moved = {difference["metric"]: difference for difference in summary["differences"]}
    assert moved["reward|model:lab:reward"]["low"] > 0
    assert moved["accuracy"]["low"] > 0
    assert moved["sequence_entropy"]["high"] < 0
    assert moved["distinct_n"]["high"] < 0
    # Answers have become shorter, which draws the plain measure to the other side.
    assert moved["matched/self_bleu"]["low"] > 0


def test_its_report_can_be_made_again_from_its_folder(unbroken: Path) -> None:
    again = build_report(read_content(unbroken / "run")).encode("utf-8", "replace")
    assert again == (unbroken / "run" / "report.html").read_bytes()


def test_the_same_suite_again_comes_from_the_cache(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache_of(unbroken, monkeypatch)
    again = run_again(unbroken / "suite.yaml", tmp_path / "again")
    assert again.sampled == 0
    assert (tmp_path / "again" / "summary.json").read_bytes() == (unbroken / "run" / "summary.json").read_bytes()


def test_a_killed_run_samples_nothing_twice_and_ends_with_the_same_numbers(unbroken: Path, tmp_path: Path) -> None:
    suite, run = unbroken / "suite.yaml", tmp_path / "run"
    killed = run_command(suite, run, cache=tmp_path / "cache")
    kill_in_the_middle(killed, run, signal.SIGKILL)
    before = shards(run)
    assert 0 < len(before) < len(shards(unbroken / "run"))
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["state"] == "running"
    resumed = run_command(suite, run, cache=tmp_path / "cache")
    _, errors = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, errors
    after = shards(run)
    assert before.items() <= after.items()
    assert drawn(run) == drawn(unbroken / "run")
    assert (run / "summary.json").read_bytes() == (unbroken / "run" / "summary.json").read_bytes()


def test_ctrl_c_keeps_what_was_sampled_and_says_so(unbroken: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = run_command(unbroken / "suite.yaml", run, cache=tmp_path / "cache")
    for event in events(process):
        if event.get("stage") == "sample base" and event["done"] and shards(run):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; what was sampled is kept" in errors
    assert "Traceback" not in errors
    assert shards(run)


def test_a_damaged_shard_is_sampled_again_with_the_same_result(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_cache_of(unbroken, monkeypatch)
    run = tmp_path / "run"
    run_again(unbroken / "suite.yaml", run)
    before = drawn(run)
    victim = sorted((run / "completions").glob("*.parquet"))[0]
    content = victim.read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    victim.unlink()
    victim.write_bytes(content[:-10])
    healed = run_again(unbroken / "suite.yaml", run)
    assert victim.name in capsys.readouterr().err
    assert 0 < healed.sampled <= 512
    assert drawn(run) == before
    assert (run / "summary.json").read_bytes() == (unbroken / "run" / "summary.json").read_bytes()


def test_a_changed_metric_measures_anew_without_sampling(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cache_of(unbroken, monkeypatch)
    run = tmp_path / "run"
    run_again(unbroken / "suite.yaml", run)
    changed = run_again(write_suite(tmp_path, metrics=["distinct_n|n:3"]), run)
    assert changed.sampled == 0
    assert {split_variant(estimate.metric)[1] for estimate in changed.summary.estimates} == {"distinct_n|n:3"}


def test_another_run_s_folder_is_left_alone(unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_cache_of(unbroken, monkeypatch)
    run_again(unbroken / "suite.yaml", tmp_path / "run")
    before = (tmp_path / "run" / "summary.json").read_bytes()
    with pytest.raises(InputError, match=r"holds another run \(different: .*arms\.base\.n was 128, is 8"):
        run_again(unbroken / "suite.yaml", tmp_path / "run", samples=8)
    assert (tmp_path / "run" / "summary.json").read_bytes() == before


def test_two_arms_of_the_same_weights_are_independent_draws(tmp_path: Path) -> None:
    twins = {name: {"path": "lab:base", "kind": "base"} for name in ("a", "b")}
    suite = write_suite(tmp_path, checkpoints=twins, metrics=["distinct_n", "sequence_entropy"])
    result = run_again(suite, tmp_path / "run", samples=32)
    completions = pd.concat(
        pd.read_parquet(path).assign(shard=path.name) for path in (tmp_path / "run" / "completions").glob("*.parquet")
    )
    by_shard = [tuple(found.sort_values(["prompt_id", "slot"])["text"]) for _, found in completions.groupby("shard")]
    assert len(set(by_shard)) == len(by_shard)
    assert all(d.p_adjusted is not None and d.p_adjusted > 0.01 for d in result.summary.differences)


def test_temperatures_make_arms_and_log_prob_measures_are_left_undefined_off_the_raw_law(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, metrics=["distinct_n", "sequence_entropy"])
    result = run_again(suite, tmp_path / "run", samples=8, temperature=(0.5, 1.0), prompts=3)
    assert [arm.name for arm in result.summary.arms] == ["base@T=0.5", "base@T=1", "tuned@T=0.5", "tuned@T=1"]
    assert {(d.arm, d.baseline) for d in result.summary.differences} == {
        ("base@T=1", "base@T=0.5"),
        ("tuned@T=0.5", "base@T=0.5"),
        ("tuned@T=1", "base@T=1"),
    }
    value = {(e.metric, e.arm): e.value for e in result.summary.estimates}
    assert value["sequence_entropy", "base@T=0.5"] is None
    assert value["sequence_entropy", "base@T=1"] is not None


def test_a_prompt_longer_than_the_context_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    suite = write_suite(
        tmp_path, prompts=[{"id": "long", "text": "What is the capital of France? " * 500}], metrics=["length"]
    )
    with pytest.raises(
        InputError, match=r"prompt 'long' takes \d+ tokens for checkpoint 'base' and sampling.max_tokens is 40"
    ):
        run_again(suite, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_completions_of_one_token_go_all_the_way_and_how_the_policy_was_tuned_with_them(tmp_path: Path) -> None:
    import shutil

    from evalkit.checkpoints.folder import locate

    shutil.copytree(locate("lab:tuned"), tmp_path / "policy")
    (tmp_path / "policy" / "curves.jsonl").write_text('{"update": 0, "reward": 0.5}\n', encoding="utf-8")
    suite = write_suite(
        tmp_path, sampling={"n": 4, "max_tokens": 1}, metrics=["distinct_n", "self_bleu", "length", "sequence_entropy"]
    )
    result = run_again(suite, tmp_path / "run", prompts=2, models={"tuned": str(tmp_path / "policy")})
    assert "truncated" in " ".join(alarm.kind for alarm in result.summary.alarms)
    assert result.report.exists()
    [training] = read_content(tmp_path / "run").figure_data.trainings
    assert (training.checkpoint, training.reward) == ("tuned", (0.5,))


def test_a_checkpoint_that_cannot_be_computed_is_one_clear_line(tmp_path: Path, unbroken: Path) -> None:
    """Headers are whole, so that planning passes; the shapes are wrong, so that loading fails, in the child."""
    import shutil

    from evalkit.checkpoints.folder import locate

    broken = tmp_path / "broken"
    shutil.copytree(locate("lab:base"), broken)
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    (broken / "config.json").write_text(json.dumps(config | {"intermediate_size": 7}), encoding="utf-8")
    with pytest.raises(EngineError) as caught:
        run_again(unbroken / "suite.yaml", tmp_path / "run", models={"base": str(broken)})
    assert "'base'" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(unbroken: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        process = run_command(unbroken / "suite.yaml", disk / "run", cache=tmp_path / "cache")
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 5, errors
        assert "No space left on device" in errors
        assert "Traceback" not in errors
        kept = shards(disk / "run")
        assert kept
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        process = run_command(unbroken / "suite.yaml", disk / "run", cache=tmp_path / "cache")
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        assert kept.items() <= shards(disk / "run").items()
        assert (disk / "run" / "summary.json").read_bytes() == (unbroken / "run" / "summary.json").read_bytes()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_best_of_n_is_an_arm_that_gains_reward_without_training(tmp_path: Path) -> None:
    chosen = SUITE["checkpoints"]["base"] | {"best_of": {"n": 4, "reward": "lab:reward"}}
    checkpoints = {"base": SUITE["checkpoints"]["base"], "best": chosen}
    metrics = ["sequence_entropy", {"reward": {"model": "lab:reward"}}]
    suite = load_suite(
        write_suite(tmp_path, checkpoints=checkpoints, metrics=metrics, sampling={"n": 16, "max_tokens": 40})
    )
    result = run_suite(suite, ENGINE, tmp_path / "run", Quiet())
    assert result.sampled == 10 * (16 + 64)
    gained = {found.metric: found for found in result.summary.differences}
    assert gained["reward|model:lab:reward"].low > 0.5
    entropy = next(e for e in result.summary.estimates if e.metric == "sequence_entropy" and e.arm == "best")
    assert entropy.value is None, "log-probs of chosen completions are not those of draws"


@pytest.mark.slow
def test_a_run_hears_its_voices_and_holds_its_scores_against_each_other(tmp_path: Path) -> None:
    examples = yaml.safe_load((Path(__file__).parent.parent / "suites" / "voices.yaml").read_text(encoding="utf-8"))
    voices = {voice: texts[:12] for voice, texts in examples["voices"].items()}
    sampling = {"n": 16, "max_tokens": 40, "seed": 3}
    suite = write_suite(
        tmp_path, voices=voices, sampling=sampling, metrics=["accuracy", {"reward": {"model": "lab:reward"}}]
    )
    found = run_suite(load_suite(suite), ENGINE, tmp_path / "run", Quiet())
    card = json.loads((found.folder / "voices.json").read_text(encoding="utf-8"))
    assert list(card["shares"]) == ["base", "tuned"]
    estimates = {(e.metric, e.arm): e for e in found.summary.estimates}
    # The lab's tuned checkpoint speaks almost only as the professor, its base a little less than half.
    assert estimates["voice_share|voice:professor", "tuned"].value > 0.75
    assert estimates["voice_shift", "base"].value == 0
    assert "|voices:" in estimates["voice_entropy", "tuned"].signature
    manifest = json.loads((found.folder / "run.json").read_text(encoding="utf-8"))
    assert [row["arm"] for row in manifest["agreement"]] == ["base", "tuned"]
    page = found.report.read_text(encoding="utf-8")
    assert 'id="voices"' in page
    assert 'id="agreement"' in page
