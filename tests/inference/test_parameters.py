"""What providers would ignore or cut is refused before anything is sent, and what they withhold is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.errors import InputError
from evalkit.inference.parameters import check_parameters
from evalkit.inference.plan import make_plan
from evalkit.plumbing.progress import Quiet
from evalkit.run import run_suite
from evalkit.suite.schema import Suite, load_suite
from tests.providers_served import KEY, ProvidingServer, candidate, message
from tests.providers_served import providing as providing

SUITE = """\
name: provided
checkpoints:
  claude: {{path: "anthropic://{model}", kind: {kind}}}
  gem: {{path: "gemini://gemini-2.5-flash", kind: tuned, sampling: {{top_k: {top_k}}}}}
sampling: {{n: 4, {sampling}}}
metrics: [{metric}]
prompts:
  - {{id: one, text: "Name a colour."}}
  - {{id: two, text: "Name a tree."}}
"""
WHOLE = {
    "model": "claude-sonnet-4-5",
    "kind": "tuned",
    "top_k": "64",
    "sampling": "max_tokens: 8",
    "metric": "length",
}


def suite(folder: Path, **changed: Any) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(**(WHOLE | changed)))
    return load_suite(path)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"sampling": "temperature: 1.2"}, "checkpoint 'claude': temperature is 1.2; Anthropic takes 0 to 1"),
        ({"sampling": "temperature: [1.0, 1.2]"}, "checkpoint 'claude': temperature is 1.2; Anthropic takes 0 to 1"),
        ({"sampling": "presence_penalty: 0.5"}, "checkpoint 'claude': presence_penalty is 0.5; Anthropic has no such"),
        ({"sampling": "min_p: 0.1"}, "checkpoint 'gem': min_p is 0.1; Gemini has no such parameter"),
        ({"model": "claude-opus-4-8", "sampling": "temperature: 0.5"}, "lets nobody set the sampling of models after"),
        ({"kind": "base"}, "checkpoint 'claude': kind is base; Anthropic takes conversations alone: say kind: tuned"),
        ({"metric": "sequence_entropy"}, "metric sequence_entropy needs log-probs, which evalkit has from neither"),
    ],
)
def test_what_a_provider_would_ignore_or_cut_is_refused_before_anything_is_sent(
    providing: ProvidingServer, tmp_path: Path, changed: dict[str, str], line: str
) -> None:
    providing.cards.clear()
    with pytest.raises(InputError) as caught:
        make_plan(suite(tmp_path, **changed), "auto")
    assert line in str(caught.value)


def test_what_a_model_s_card_tells_is_held_against_the_settings_before_it_is_asked(
    providing: ProvidingServer, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"checkpoint 'gem': top_k is 0, .* say top_k: 64"):
        make_plan(suite(tmp_path, top_k="0"), "auto")
    with pytest.raises(InputError, match=r"max_tokens is 64001; claude-sonnet-4-5 writes 64000 at most"):
        make_plan(suite(tmp_path, sampling="max_tokens: 64001"), "auto")
    assert providing.requests == []


def test_a_seed_that_no_checkpoint_would_take_is_refused(tmp_path: Path) -> None:
    both = suite(tmp_path, sampling="seed: 7")
    check_parameters(both)
    alone = both.model_copy(update={"checkpoints": {"claude": both.checkpoints["claude"]}})
    with pytest.raises(InputError, match=r"sampling.seed is 7; Anthropic takes no seed"):
        check_parameters(alone)


@pytest.mark.slow
def test_a_run_says_what_was_withheld_and_holds_no_key(providing: ProvidingServer, tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        number = len(providing.requests)
        if "contents" in body:
            return 200, candidate("", "SAFETY") if body["generationConfig"]["seed"] % 4 == 0 else candidate(
                f"g{number}"
            )
        return 200, message(f"word {number}")

    providing.answer = answer
    result = run_suite(suite(tmp_path), "auto", tmp_path / "run", Quiet())
    assert result.sampled == 16
    [alarm] = [alarm for alarm in result.summary.alarms if alarm.kind == "withheld"]
    withheld = sum(body.get("generationConfig", {}).get("seed", 1) % 4 == 0 for body in providing.bodies)
    assert alarm.arm == "gem"
    assert alarm.message.startswith(f"{withheld} of 8 completions were withheld by the provider before they came to an")
    assert all(KEY.encode() not in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    again = run_suite(suite(tmp_path), "auto", tmp_path / "run", Quiet())
    assert again.sampled == 0
    assert again.summary.estimates == result.summary.estimates


def test_suite_check_says_what_a_provider_would_refuse_and_asks_nobody(tmp_path: Path) -> None:
    suite(tmp_path)
    right = CliRunner().invoke(main, ["suite", "check", str(tmp_path / "suite.yaml")])
    assert right.exit_code == 0, right.output
    assert "anthropic://claude-sonnet-4-5 is a provider's, whom only a run asks" in right.output
    suite(tmp_path, sampling="temperature: 1.2")
    wrong = CliRunner().invoke(main, ["suite", "check", str(tmp_path / "suite.yaml")])
    assert wrong.exit_code == 2
    assert "evalkit: checkpoint 'claude': temperature is 1.2; Anthropic takes 0 to 1" in wrong.output
