"""A trained network is an ordinary Hugging Face folder, whole or not at all, and is asked as it was trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from evalkit.checkpoints.rendering import in_frame, render
from evalkit.checkpoints.resolution import resolve
from evalkit.checkpoints.spec import CheckpointSpec, Example, Frame
from evalkit.checkpoints.training_log import NAME, trainings_of, work_of
from evalkit.errors import StoreError
from evalkit.inference.engines.base import open_engine
from evalkit.records import Prompt
from evalkit.training.batch import pack
from evalkit.training.config import Lora
from evalkit.training.models import Policy, load_policy, response_logits
from evalkit.training.output import folder as folder_module
from evalkit.training.output.folder import ADAPTER, frame_as_chat, save_model
from tests.training import toy
from tests.training.full_disk import room_for

BATCH = pack([[0], [1, 2, 3]], [[1, 2, toy.EOS], [3, 3]])
FACTS = {"beta": 0.1, "reached": {"kl": 1.5}}


def policy(folder: Path, kind: str = "llama", lora: Lora | None = None, dtype: str = "float32") -> Policy:
    source = toy.checkpoint(folder, kind)
    if dtype != "float32":
        AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype)).save_pretrained(source)
    spec = CheckpointSpec(path=source, kind="base", frame=Frame(template="{prompt}"))
    its = load_policy("policy", spec, lora)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in its.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return its


def save(its: Policy, place: Path, template: str | None = None) -> Path:
    return save_model(place, its.model, Path(its.checkpoint.location), "# a card\n", FACTS, template)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return response_logits(model, BATCH)[BATCH.response_mask]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_transformers_loads_the_same_network(tmp_path: Path, kind: str) -> None:
    its = policy(tmp_path / "source", kind)
    saved = save(its, tmp_path / "made" / "beta-1")
    theirs = AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager")
    torch.testing.assert_close(logits(theirs), logits(its.model), atol=1e-6, rtol=0)
    assert AutoTokenizer.from_pretrained(saved)("a d </s>")["input_ids"] == [0, 3, toy.EOS]
    assert (saved / "README.md").read_text(encoding="utf-8") == "# a card\n"
    assert json.loads((saved / "training.json").read_text(encoding="utf-8")) == FACTS
    assert [path.name for path in saved.parent.iterdir()] == ["beta-1"]


def test_weights_are_stored_in_the_precision_of_the_source(tmp_path: Path) -> None:
    its = policy(tmp_path / "source", dtype="bfloat16")
    assert next(its.model.parameters()).dtype == torch.float32
    saved = save(its, tmp_path / "made")
    assert next(its.model.parameters()).dtype == torch.float32, "what is trained must not be rounded by saving it"
    theirs = AutoModelForCausalLM.from_pretrained(saved, dtype="auto", attn_implementation="eager")
    assert {parameter.dtype for parameter in theirs.parameters()} == {torch.bfloat16}
    stored = theirs.state_dict()
    for name, weights in its.model.state_dict().items():
        assert torch.equal(stored[name], weights.to(torch.bfloat16)), name


def test_adapters_are_merged_and_say_the_same(tmp_path: Path) -> None:
    its = policy(tmp_path / "source", lora=Lora(rank=2, alpha=4))
    before = logits(its.model)
    saved = save(its, tmp_path / "made")
    assert not list(saved.glob("adapter_*")), "the folder itself is whole weights"
    theirs = AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager")
    torch.testing.assert_close(logits(theirs), before, atol=1e-4, rtol=0)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "source", attn_implementation="eager")
    assert not torch.allclose(logits(plain), before, atol=0.01)
    assert its.has_adapters, "saving must not merge what is still trained"
    torch.testing.assert_close(logits(its.model), before, atol=0, rtol=0)


def test_adapters_stand_by_themselves_too_and_read_on_their_base_as_the_merged_weights(tmp_path: Path) -> None:
    its = policy(tmp_path / "source", lora=Lora(rank=2, alpha=4))
    saved = save(its, tmp_path / "made")
    spec = CheckpointSpec(path=str(saved / ADAPTER), kind="base")
    found = resolve("adapter", spec)
    assert found.adapter is not None
    assert found.location == str((tmp_path / "source").resolve())
    assert found.fingerprint != resolve("merged", CheckpointSpec(path=str(saved), kind="base")).fingerprint
    pair = ((0, 1, 2), (3, 0, 1))
    with open_engine("transformers", found, 16) as engine:
        [read] = engine.logprobs([pair])
    with open_engine("transformers", resolve("merged", CheckpointSpec(path=str(saved), kind="base")), 16) as engine:
        [merged] = engine.logprobs([pair])
    assert read == pytest.approx(merged, abs=1e-3)
    assert not list(save(policy(tmp_path / "whole"), tmp_path / "plain").glob("adapter*"))


def test_the_log_of_its_training_goes_with_the_adapter_too(tmp_path: Path) -> None:
    folder = tmp_path / "beta-1"
    work_of(folder).mkdir(parents=True)
    (work_of(folder) / NAME).write_text('{"update": 0, "reward": 0.5, "kl": 0.1, "entropy": 2}\n', encoding="utf-8")
    saved = save(policy(tmp_path / "source", lora=Lora(rank=2, alpha=4)), folder)
    checkpoints = [
        resolve(name, CheckpointSpec(path=str(path), kind="base"))
        for name, path in {"merged": saved, "adapter": saved / ADAPTER}.items()
    ]
    assert [(one.checkpoint, one.reward) for one in trainings_of(checkpoints)] == [
        ("merged", (0.5,)),
        ("adapter", (0.5,)),
    ]


def test_the_generation_config_cuts_and_punishes_nothing(tmp_path: Path) -> None:
    its = policy(tmp_path / "source")
    config = GenerationConfig.from_pretrained(save(its, tmp_path / "made"))
    assert config.do_sample
    assert (config.temperature, config.top_p) == (1.0, 1.0)
    assert not config.top_k
    assert config.eos_token_id == [toy.EOS]
    for neutral in ("repetition_penalty", "min_p", "typical_p", "no_repeat_ngram_size", "max_length"):
        assert getattr(config, neutral) in (None, 1.0, 0, 20), neutral


FRAMES = [
    Frame(),
    Frame(template="{prompt}"),
    Frame(template=" Q: {prompt}? {prompt}\n", examples=(Example(prompt="a", completion="d"),)),
    Frame(
        template='b "{prompt}" {{ c }} {% d %}\n\n\tb:',
        examples=(Example(prompt="a {{ b }}", completion="d"), Example(prompt="x\\n", completion="'c'")),
    ),
]
ASKED = (Prompt("one", "b c"), Prompt("two", " d  {{ a }}\n{# b #}"))


def spell(folder: Path, bos: str | None) -> None:
    """Give a checkpoint a tokenizer of single characters, which no change of a text can hide from."""
    letters = [chr(code) for code in (9, 10, *range(32, 127))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*letters, "</s>", "<s>"])}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 98)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token=bos).save_pretrained(folder)


@pytest.mark.parametrize("bos", [None, "<s>"])
@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: repr(frame.template))
def test_asked_by_chat_it_sees_the_tokens_that_it_was_trained_on(tmp_path: Path, frame: Frame, bos: str | None) -> None:
    its = policy(tmp_path / "source")
    spell(tmp_path / "source", bos)
    spec = its.spec.model_copy(update={"frame": frame})
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "source")
    saved = save(its, tmp_path / "made", frame_as_chat(spec, tokenizer))
    assert tokens(CheckpointSpec(path=str(saved), kind="tuned")) == tokens(spec)
    exchange = [{"role": "user", "content": "b c"}, {"role": "assistant", "content": "a"}]
    written = AutoTokenizer.from_pretrained(saved).apply_chat_template(exchange, tokenize=False)
    assert written == (bos or "") + in_frame(frame, "b c") + " a</s>"


def test_the_lab_is_asked_by_chat_with_the_tokens_of_its_frame(tmp_path: Path) -> None:
    spec = CheckpointSpec(path="lab:base", kind="base")
    its = load_policy("policy", spec)
    saved = save(its, tmp_path / "made", frame_as_chat(spec, its.tokenizer))
    assert tokens(CheckpointSpec(path=str(saved), kind="tuned")) == tokens(spec)


def tokens(spec: CheckpointSpec) -> list[tuple[int, ...]]:
    found = [prompt.token_ids for prompt in render(resolve("asked", spec), spec, ASKED)]
    assert all(found)
    return found


def test_a_chat_template_of_the_source_stays(tmp_path: Path) -> None:
    its = policy(tmp_path / "source")
    (tmp_path / "source" / "chat_template.jinja").write_text("{{ 'own' }}", encoding="utf-8")
    saved = save(its, tmp_path / "made", "{{ 'frame' }}")
    assert (saved / "chat_template.jinja").read_text(encoding="utf-8") == "{{ 'own' }}"


@pytest.mark.parametrize("room", [0, 200, 30_000])
def test_a_disk_that_fills_keeps_the_checkpoint_that_was_there(tmp_path: Path, room: int) -> None:
    its = policy(tmp_path / "source")
    saved = save(its, tmp_path / "made")
    before = logits(AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager"))
    with torch.no_grad():
        for parameter in its.model.parameters():
            parameter.zero_()
    with room_for(room), pytest.raises(StoreError, match=r"made could not be written.*what was there before is whole"):
        save(its, saved)
    after = logits(AutoModelForCausalLM.from_pretrained(saved, attn_implementation="eager"))
    assert torch.equal(before, after)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "source"]


def test_a_place_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    its = policy(tmp_path / "source")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="could not be written"):
        save(its, tmp_path / "file" / "made")


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    its = policy(tmp_path / "source")
    for name in (".made-half", ".made-old-x", ".made2-other"):
        (tmp_path / name).mkdir()
    save(its, tmp_path / "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".made2-other", "made", "source"]


def test_an_error_that_is_not_of_the_disk_is_not_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(folder_module, "_stored", broken)
    with pytest.raises(ZeroDivisionError):
        save(policy(tmp_path / "source"), tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
