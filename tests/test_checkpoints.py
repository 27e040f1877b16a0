"""A checkpoint is found, checked from its headers, fingerprinted, and asked in its own way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from evalkit.checkpoints import check, context_length, fingerprint, in_frame, locate, render, resolve
from evalkit.errors import CheckpointError
from evalkit.records import Checkpoint, Prompt
from evalkit.suite import CheckpointSpec, Example, Frame

WORDS = ["<unk>", "<s>", "</s>", "<user>", "<bot>", "Prompt", ":", "Answer", "hello", "world", "be", "brief"]
TEMPLATE = "{{ bos_token }}{% for m in messages %}<user> {{ m.content }} {% endfor %}<bot>"
PROMPTS = [Prompt("p", "hello world")]


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint folder with real weights and a real tokenizer, which adds BOS (and EOS, if asked)."""

    def make(name: str = "model", template: str | None = TEMPLATE, adds_eos: bool = False, **config: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = Whitespace()
        ends = " </s>" if adds_eos else ""
        tokenizer.post_processor = TemplateProcessing(single=f"<s> $A{ends}", special_tokens=[("<s>", 1), ("</s>", 2)])
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
            additional_special_tokens=["<user>", "<bot>"],
        )  # fmt: skip
        fast.chat_template = template
        fast.save_pretrained(folder)
        settings = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "max_position_embeddings": 64,
            **config,
        }
        (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        save_file({"w": np.arange(12, dtype=np.float32)}, folder / "model.safetensors")
        return folder

    return make


def spec(path: Path | str, kind: str = "base", **fields: Any) -> CheckpointSpec:
    return CheckpointSpec.model_validate({"path": str(path), "kind": kind, **fields})


def words(ids: tuple[int, ...]) -> list[str]:
    return [WORDS[i] for i in ids]


def test_a_base_checkpoint_is_asked_through_its_frame_with_one_bos(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder())
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert rendered.text == "Prompt: hello world\nAnswer:"
    assert words(rendered.token_ids) == ["<s>", "Prompt", ":", "hello", "world", "Answer", ":"]


def test_an_end_of_sequence_that_the_tokenizer_adds_does_not_close_the_prompt(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(adds_eos=True))
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert words(rendered.token_ids) == ["<s>", "Prompt", ":", "hello", "world", "Answer", ":"]


def test_a_chat_template_that_writes_bos_gets_no_second_one(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(), "tuned")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert words(rendered.token_ids) == ["<s>", "<user>", "hello", "world", "<bot>"]
    assert rendered.text == "<s><user> hello world <bot>"


def test_a_system_message_goes_through_the_chat_template(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(), "tuned", system="be brief")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert words(rendered.token_ids) == ["<s>", "<user>", "be", "brief", "<user>", "hello", "world", "<bot>"]


def test_a_chat_template_does_not_make_a_base_checkpoint_a_chat_model(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(template=TEMPLATE), "base")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert "<user>" not in rendered.text


def test_a_tuned_checkpoint_without_chat_template_is_refused(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(template=None), "tuned")
    with pytest.raises(CheckpointError, match="'m' is called tuned but has no chat template; say `kind: base`"):
        render(resolve("m", made), made, PROMPTS)


def test_a_chat_template_that_refuses_is_one_line(make_folder: Callable[..., Path]) -> None:
    made = spec(make_folder(template="{{ raise_exception('no system here') }}"), "tuned")
    with pytest.raises(CheckpointError, match="its chat template refuses the prompt: no system here"):
        render(resolve("m", made), made, PROMPTS)


def test_a_few_shot_frame_shows_its_examples_first() -> None:
    frame = Frame(template="Q: {prompt}\nA:", examples=(Example(prompt="1+1?", completion="2"),))
    assert in_frame(frame, "2+2?") == "Q: 1+1?\nA: 2\n\nQ: 2+2?\nA:"


def test_braces_in_a_prompt_are_left_alone() -> None:
    assert in_frame(Frame(), "a {prompt} {x} {}") == "Prompt: a {prompt} {x} {}\nAnswer:"


def test_a_server_s_chat_model_gets_messages(make_folder: Callable[..., Path]) -> None:
    made = spec("http://127.0.0.1:1/v1", "tuned", system="be brief")
    [rendered] = render(resolve("m", made), made, PROMPTS)
    assert rendered.messages == (("system", "be brief"), ("user", "hello world"))
    assert rendered.token_ids == ()


def test_the_fingerprint_follows_what_decides_the_output(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    first = fingerprint(folder)
    (folder / "README.md").write_text("words", encoding="utf-8")
    assert fingerprint(folder) == first
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "rope_theta": 1}), encoding="utf-8")
    assert fingerprint(folder) != first
    second = fingerprint(folder)
    save_file({"w": np.arange(12, dtype=np.float32) + 1}, folder / "model.safetensors")
    assert fingerprint(folder) != second


def test_copies_of_a_checkpoint_have_one_fingerprint(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    folder = make_folder()
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint(tmp_path / "elsewhere") == fingerprint(folder)


def test_the_context_is_read_from_the_configuration(make_folder: Callable[..., Path]) -> None:
    checkpoint = resolve("m", spec(make_folder()))
    assert context_length(checkpoint) == 64
    nested = make_folder("nested", max_position_embeddings=None, text_config={"max_position_embeddings": 32})
    assert context_length(replace(checkpoint, location=str(nested))) == 32


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _lose_a_shard(folder: Path) -> None:
    index = {"weight_map": {"w": "model.safetensors", "v": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


BROKEN = [
    ("no config", _remove("config.json"), "has no config.json"),
    ("config that is no JSON", _write("config.json", b"{"), "config.json cannot be read"),
    ("config that is a list", _write("config.json", b"[]"), "is not a JSON object"),
    ("config without architecture", _write("config.json", b"{}"), "names no architecture"),
    ("code of its own", _write("config.json", b'{"model_type": "x", "auto_map": {}}'), "set trust_remote_code: true"),
    ("no weights", _remove("model.safetensors"), "has no *.safetensors"),
    ("pickles only", _pickle_only, "only pytorch_model.bin: convert it, evalkit loads no pickles"),
    ("weights cut short", _truncate, "is damaged or cut short"),
    ("weights that are noise", _write("model.safetensors", b"\xff" * 64), "is damaged or cut short"),
    ("a shard is missing", _lose_a_shard, "lacks model-2.safetensors"),
]


@pytest.mark.parametrize(("damage", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_checkpoint_is_one_clear_line(
    make_folder: Callable[..., Path], damage: Callable[[Path], object], message: str
) -> None:
    folder = make_folder()
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        resolve("m", spec(folder))
    assert message in str(caught.value)
    assert str(caught.value).startswith("checkpoint 'm': ")
    assert "\n" not in str(caught.value)


def test_code_of_its_own_is_let_through_when_the_suite_says_so(make_folder: Callable[..., Path]) -> None:
    check(make_folder(auto_map={"AutoModel": "x.Y"}), trust_remote_code=True)


def test_a_tokenizer_that_is_missing_is_one_clear_line(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckpointError, match="no tokenizer could be loaded") as caught:
        render(resolve("m", spec(folder)), spec(folder), PROMPTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/folder", "there is no folder 'no/such/folder', and it is not a hub id"),
        ("nowhere", "there is no folder 'nowhere'"),
        ("lab:bse", "'lab:bse': "),
        ("labs:base", "there is no source of checkpoints 'labs'; known: "),
    ],
)
def test_a_missing_checkpoint_is_one_clear_line(source: str, message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        locate(source)
    assert message in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="could not be had from the Hugging Face hub at revision 'v1'") as caught:
        locate("some-org/some-model", "v1")
    assert "\n" not in str(caught.value)


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is a file; a checkpoint is a folder"):
        locate(str(path))


def test_a_server_is_known_by_its_address_and_model() -> None:
    one = resolve("m", spec("http://127.0.0.1:1/v1", model="a"))
    other = resolve("m", spec("http://127.0.0.1:1/v1", model="b"))
    assert isinstance(one, Checkpoint)
    assert one.is_remote
    assert one.fingerprint != other.fingerprint
