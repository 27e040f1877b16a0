"""A suite grows: its runs are held against each other on the prompts that both asked alike, and on nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bench.gate import MEASURES, World
from bench.grown import GROWTHS, Growth, measure
from evalkit.cli.main import main
from evalkit.errors import Incomparable
from evalkit.gate.baselines import read_side, save
from evalkit.gate.common_prompts import common_of, on_common_prompts
from evalkit.gate.decide import GateDecision, decide
from evalkit.gate.sides import Side, choose_pairs
from evalkit.gate.stats.group_sequential import Look
from evalkit.metrics.summary import Summary
from evalkit.plumbing.arrays import Array
from evalkit.plumbing.progress import Quiet
from evalkit.records import Prompt
from evalkit.report.content.read import read_content
from evalkit.run import run_suite
from evalkit.runs.asked import PROMPTS_FILE, hashes_of, version_of
from evalkit.suite.gate_policy import Policy
from evalkit.suite.schema import load_suite
from tests.gate.test_baselines import write_run
from tests.gate.test_decide import PAIR
from tests.sides import allowing, law, summary

NEW, OLD = law(0, prompts=70)
LAX = allowing(relative=0.05)


def asking(of: Summary, reworded: Sequence[int] = (), first: int = 0) -> Summary:
    """The summary with ids from `first` on and hashes of what is asked; some prompts ask something else."""
    ids = tuple(f"p{first + place}" for place in range(len(of.prompts)))
    return replace(of, prompts=ids, asked=tuple("other" if i in reworded else f"of {one}" for i, one in enumerate(ids)))


def tuned(values: Array, *reworded: int, **more: Array) -> Summary:
    measured = {"vendi": values} | more
    return asking(summary({name: {"base": own * 0, "tuned": own} for name, own in measured.items()}), reworded)


def gated(new: Summary, old: Summary, policy: Policy = LAX, least: float = 0.8) -> GateDecision:
    here, there, common = on_common_prompts(Side(new, "new"), Side(old, "old"), least)
    return decide(here, there, PAIR, policy, common)


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def test_a_grown_suite_is_judged_as_if_its_old_prompts_alone_had_been_asked() -> None:
    grown = gated(tuned(np.concatenate([NEW[:60], np.zeros(10)])), tuned(OLD[:60]))
    alone = gated(tuned(NEW[:60]), tuned(OLD[:60]))
    assert grown.outcome == "pass"
    assert grown.judgements == alone.judgements
    assert grown.common is not None
    assert grown.common.only_here == tuple(f"p{i}" for i in range(60, 70))


def test_a_prompt_of_the_same_id_and_another_text_takes_no_part_and_is_named() -> None:
    worse = NEW[:60].copy()
    worse[[3, 4]] = 0
    verdict = gated(tuned(worse, 3, 4), tuned(OLD[:60]))
    assert verdict.outcome == "pass"
    assert verdict.judgements[0].prompts == 58
    assert verdict.common is not None
    assert verdict.common.changed == ("p3", "p4")


def test_prompts_are_paired_by_id_in_whichever_order_they_were_asked() -> None:
    turned = tuned(NEW[:60])
    vendi = tuple(replace(e, values=e.values[::-1]) for e in turned.estimates)
    turned = replace(turned, prompts=turned.prompts[::-1], asked=turned.asked[::-1], estimates=vendi)
    [found], [straight] = (gated(new, tuned(OLD[:60])).judgements for new in (turned, tuned(NEW[:60])))
    assert found.change == pytest.approx(straight.change)
    assert found.low == pytest.approx(straight.low)


@pytest.mark.parametrize(("least", "outcome"), [(0.8, "inconclusive"), (0.6, "pass")])
def test_a_pass_on_too_few_of_the_prompts_is_none(least: float, outcome: str) -> None:
    verdict = gated(tuned(NEW), tuned(OLD[:45]), least=least)
    assert verdict.outcome == outcome
    if outcome == "inconclusive":
        assert verdict.judgements[0].note.startswith("passes on the 45 common prompts, 64.2 % of the larger side's")
        assert verdict.judgements[0].needed is None


def test_a_loss_on_few_prompts_is_a_regression_all_the_same() -> None:
    assert gated(tuned(NEW * 0.8), tuned(OLD[:30])).outcome == "regression"


def test_what_is_of_all_prompts_at_once_is_named_and_never_a_pass() -> None:
    grown = tuned(NEW, **{"pooled/vendi": NEW, "mauve": NEW})
    before = tuned(OLD[:60], **{"pooled/vendi": OLD[:60], "mauve": OLD[:60]})
    # as real ones have it: the number of prompts stands in the signature
    later = [replace(e, signature=f"{e.signature}|prompts:70") if "/" in e.metric else e for e in grown.estimates]
    policy = allowing("pooled/vendi", relative=0.5)
    for named in (policy, allowing("mauve", relative=0.5)):
        verdict = gated(replace(grown, estimates=tuple(later)), before, named)
        assert verdict.outcome == "inconclusive"
        assert "it is of all the prompts of a run at once" in verdict.judgements[0].note
    same = gated(tuned(NEW[:60], **{"pooled/vendi": NEW[:60]}), tuned(OLD[:60], **{"pooled/vendi": OLD[:60]}), policy)
    assert same.outcome == "pass"  # nothing was left out


def test_clusters_are_those_of_the_common_prompts() -> None:
    clusters = tuple(f"c{i // 5}" for i in range(70))
    verdict = gated(replace(tuned(NEW), clusters=clusters), tuned(OLD[:60]))
    assert (verdict.judgements[0].prompts, verdict.judgements[0].units) == (60, 12)


def test_a_run_that_was_stopped_early_leaves_no_prompt_out() -> None:
    new, old = Side(tuned(NEW[:30]), "new", look=Look((0.5, 1.0), 0)), Side(tuned(OLD[:60]), "old")
    here, _, common = on_common_prompts(new, old)
    assert common.is_all
    assert here.look is not None
    with pytest.raises(Incomparable, match=r"new was stopped after 50%.*1 with the same id but another text"):
        on_common_prompts(replace(new, summary=tuned(NEW[:30], 2)), old)
    with pytest.raises(Incomparable, match="old was stopped after 50%"):
        on_common_prompts(Side(tuned(NEW), "new"), Side(tuned(OLD[:30]), "old", look=Look((0.5, 1.0), 0)))


PROMPTS = tuple(Prompt(f"p{i}", f"Question {i}?") for i in range(70))


def questions(folder: Path, prompts: Sequence[Prompt], values: Array, told: bool = False) -> Path:
    """A run's folder; an older evalkit's summary does not say what each prompt asks."""
    of = replace(tuned(values), asked=hashes_of(prompts) if told else ())
    write_run(folder, of, identity={"prompts": version_of(prompts)})
    (folder / PROMPTS_FILE).write_text(json.dumps({"prompts": [asdict(p) for p in prompts]}), encoding="utf-8")
    return folder


def test_runs_of_an_older_evalkit_tell_by_their_prompts_what_was_asked(tmp_path: Path) -> None:
    reworded = (replace(PROMPTS[0], text="Else?"), *PROMPTS[1:])
    new, old = questions(tmp_path / "new", reworded, NEW), questions(tmp_path / "old", PROMPTS[:60], OLD[:60])
    found = common_of(read_side(str(new)), read_side(str(old)))
    assert (found.prompts, found.changed) == (tuple(f"p{i}" for i in range(1, 60)), ("p0",))


def test_a_baseline_saved_before_is_vouched_for_where_its_prompts_are_all_still_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(str(questions(tmp_path / "old", PROMPTS[:60], OLD[:60])), "v1")
    assert read_side("v1").summary.asked == ()  # nor did its run tell
    new = questions(tmp_path / "new", PROMPTS, NEW, told=True)
    assert len(common_of(read_side(str(new)), read_side("v1")).prompts) == 60
    reworded = questions(tmp_path / "reworded", (replace(PROMPTS[0], text="Else?"), *PROMPTS[1:]), NEW, told=True)
    result = call("gate", reworded, "--baseline", "v1", "--common-prompts")
    assert result.exit_code == 2
    assert "v1.json does not say what its prompts ask (an older evalkit wrote it)" in result.output
    assert "evalkit baseline save RUN NAME" in result.output


def test_a_baseline_keeps_what_its_prompts_ask_and_which_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of = replace(tuned(OLD), clusters=tuple(f"c{i // 5}" for i in range(70)))
    save(str(write_run(tmp_path / "old", of)), "v1")
    assert read_side("v1").summary == of


@pytest.fixture
def grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs `old` of 60 prompts, `new` of 62 more or less the same, `far` of 20 of them: one is reworded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    write_run(tmp_path / "old", tuned(OLD[:60]))
    write_run(tmp_path / "new", tuned(NEW[:62], 7), identity={"prompts": "other"})
    write_run(tmp_path / "far", tuned(NEW[:20]), identity={"prompts": "far"})
    return tmp_path


def test_the_refusal_says_which_prompts_differ_and_names_the_option(grown: Path) -> None:
    result = call("gate", "new", "--baseline", "old")
    assert result.exit_code == 2
    assert result.output.strip() == (
        "evalkit: prompts: 2 only in new (p60, p61); 1 with the same id but another text, answer, references, choices, "
        "checks or valid answers (p7); --common-prompts goes by the 59 that both asked alike"
    )


def test_every_format_says_how_many_were_shared_and_which_were_left_out(grown: Path) -> None:
    files = ("--junit", "gate.xml", "--markdown", "gate.md")
    result = call("gate", "new", "--baseline", "old", "--common-prompts", *files)
    assert result.exit_code == 0
    line = (
        "Judged by the 59 prompts that both asked alike, 95.1 % of the larger side's (a pass needs 80 %). Left out, only "
        "in new: 2 (p60, p61); asked otherwise under the same id: 1 (p7)."
    )
    assert line in " ".join(result.output.split())
    assert line in Path("gate.md").read_text(encoding="utf-8")
    assert "<code>p61</code>" in Path("gate.md").read_text(encoding="utf-8")
    told = ElementTree.fromstring(Path("gate.xml").read_bytes()).findtext(".//system-out") or ""
    assert line in told
    assert "only in new: p60, p61" in told
    common = json.loads(call("gate", "new", "--baseline", "old", "--common-prompts", "--json").output)["common"]
    assert (common["prompts"], common["share"], common["least_for_a_pass"]) == (59, pytest.approx(59 / 62), 0.8)
    assert (common["changed"], common["only_new"], common["only_old"]) == (["p7"], ["p60", "p61"], [])


def test_compare_pairs_no_prompt_that_was_put_in_other_words(grown: Path) -> None:
    told = json.loads(call("compare", "old", "new", "--common-prompts", "--json").output)
    assert (told["prompts"], told["left_out"]["changed"], told["left_out"]["only_in_b"]) == (59, ["p7"], ["p60", "p61"])
    kept = [place for place in range(60) if place != 7]
    [row] = told["pairs"][0]["metrics"]
    assert row["difference"]["value"] == pytest.approx((NEW[:60] - OLD[:60])[kept].mean())
    refused = call("compare", "old", "new")
    assert refused.exit_code == 2
    assert "1 with the same id but another text" in refused.output


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("far", "--common-prompts"), 3, "a pass of the suite needs 80 %"),
        (("far", "--common-prompts", "--least-common", "0.3"), 0, "Pass"),
        (("far", "--least-common", "0.3"), 2, "--least-common goes with --common-prompts"),
    ],
)
def test_the_exit_code_says_whether_enough_was_shared(
    grown: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    result = call("gate", args[0], "--baseline", "old", *args[1:])
    assert words in " ".join(result.output.split())
    assert result.exit_code == code


def test_a_comment_with_many_prompts_left_out_fits(grown: Path) -> None:
    long = tuned(np.concatenate([NEW[:60], np.ones(4000)]))
    write_run(grown / "long", replace(long, prompts=(*long.prompts[:60], *(f"{'x' * 90}{i}" for i in range(4000)))))
    call("gate", "long", "--baseline", "old", "--common-prompts", "--markdown", "gate.md")
    page = Path("gate.md").read_bytes()
    assert len(page) <= 65_536
    assert b"more do not fit; `--json` has them all" in page
    assert page.endswith(b"</details>\n")


def test_texts_files_are_compared_whatever_they_are_called_if_their_prompts_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, prompts, asks in (("mon", 30, "Say"), ("tue", 30, "Say"), ("wed", 33, "Say"), ("odd", 30, "Tell")):
        rows = [
            {
                "prompt_id": i,
                "prompt": f"{asks} {i}",
                "completions": [" ".join(rng.choice([*"abcdefgh"], 6)) for _ in "123"],
            }
            for i in range(prompts)
        ]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        scored = call("score", f"{name}.jsonl", "--metrics", "distinct_n", "--json", "--quiet", "--suite", name.upper())
        Path(f"{name}.json").write_text(scored.stdout, encoding="utf-8")
    assert json.loads(Path("mon.json").read_text(encoding="utf-8"))["suite"] == "MON"
    Path("lax.yaml").write_text("rules: [{metrics: distinct_n, allow: {relative: 0.2}}]", encoding="utf-8")
    policy = ("--baseline", "mon.json", "--policy", "lax.yaml")
    assert call("gate", "tue.json", *policy).exit_code == 0
    assert "3 only in wed.json (30, 31, 32)" in call("gate", "wed.json", *policy).output
    assert call("gate", "wed.json", *policy, "--common-prompts").exit_code == 0
    odd = call("gate", "odd.json", *policy)
    assert odd.exit_code == 2
    assert "30 with the same id but another text" in odd.output


def synthetic(loss: float) -> World:
    """Values as a world has them, of 64 prompts and 8 groups, normal."""
    rng = np.random.default_rng(0)
    prompts = rng.normal(10, 1, (64, 1))
    base, lossy = ({str(m): prompts + rng.normal(0, 0.4, (64, 8)) for m in MEASURES} for _ in "ab")
    return World(base, {m: own * (1 - loss) for m, own in lossy.items()}, {})


def test_errors_hold_on_common_prompts_though_the_others_mislead() -> None:
    """Three standard errors above the level of 5 %; prompts that counted by mistake would make nearly all trials err."""
    trials = 60
    found = measure(synthetic(0.1), Growth(added=6, reworded=6), trials)
    errors = 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5
    assert max(found.regression_of_none, found.regression_at_edge, found.pass_at_edge) <= errors
    assert min(found.found, found.passed) == 1


def test_a_suite_that_grew_by_half_never_passes() -> None:
    assert GROWTHS[-1] == Growth(added=30)
    found = measure(synthetic(0.1), GROWTHS[-1], 10)
    assert (found.pass_at_edge, found.passed, found.found) == (0, 0, 1)


@pytest.mark.slow
def test_a_nightly_suite_gets_more_prompts_and_the_gate_goes_by_those_of_the_release(
    tmp_path: Path, write_suite: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules: [{metrics: distinct_n, allow: {absolute: 1}}]", encoding="utf-8")
    more = '  - {id: two, text: "Name a colour."}\n'
    before = load_suite(write_suite())
    run_suite(before, "transformers", tmp_path / "released", Quiet())
    save(str(tmp_path / "released"), "v1")
    later = write_suite(
        (more, f'{more}  - {{id: three, text: "Name a fruit."}}\n'), ("max_tokens: 24", "seed: 1\n  max_tokens: 24")
    )
    run_suite(load_suite(later), "transformers", tmp_path / "tonight", Quiet())
    asked = read_content(tmp_path / "tonight").summary.asked
    assert asked[:2] == read_side("v1").summary.asked == hashes_of(before.prompts)
    gate = ("gate", "tonight", "--baseline", "v1", "--policy", policy)
    assert "1 only in tonight (three); --common-prompts goes by the 2 that both asked alike" in call(*gate).output
    told = json.loads(call(*gate, "--common-prompts", "--json").output)
    assert told["common"]["only_new"] == ["three"]
    assert told["common"]["shared"] == ["one", "two"]
    assert [judged["prompts"] for judged in told["judgements"]] == [2]
    new = read_side("tonight")
    assert choose_pairs(new, read_side("v1"), []) == PAIR
