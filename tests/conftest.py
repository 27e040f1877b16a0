"""What many tests need: a cache of their own, and a suite to write down."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from tests.browser import Browser

# How long an example takes is the machine's affair. CI looks at the same examples every time, so that what it says is of
# the change before it; whoever runs the tests at home looks for new ones.
settings.register_profile("evalkit", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("evalkit")

SUITE = """\
name: tiny
checkpoints:
  base: {path: "lab:base", kind: base}
  tuned: {path: "lab:tuned", kind: tuned}
sampling:
  n: 4
  temperature: 1.0
  max_tokens: 24
metrics: [distinct_n, length]
prompts:
  - {id: one, text: "Write the first line of a story."}
  - {id: two, text: "Name a colour."}
"""

WORDS = ["<unk>", "<s>", "</s>", "<user>", "<bot>", "Prompt", ":", "Answer", "hello", "world", "be", "brief"]
"""The vocabulary of `make_folder`'s tokenizer."""
TEMPLATE = "{{ bos_token }}{% for m in messages %}<user> {{ m.content }} {% endfor %}<bot>"
"""Its chat template, which writes BOS itself."""


@pytest.fixture(scope="session", autouse=True)
def hears_ctrl_c() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C, and all that the tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _vllm_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """vLLM looks at a model class in a process of its own, once a cache: seconds that tests need not pay each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CACHE_ROOT", str(tmp_path_factory.mktemp("vllm")))
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another left in the cache, or what lies around on the machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., Path]:
    """Write SUITE, with some of its text replaced, as suite.yaml."""

    def write(*replacements: tuple[str, str]) -> Path:
        text = SUITE
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the suite; the test would test nothing"
            text = text.replace(old, new)
        path = tmp_path / "suite.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint folder with real weights and a real tokenizer, which adds BOS (and EOS, if asked)."""

    def make(name: str = "model", template: str | None = TEMPLATE, adds_eos: bool = False, **config: Any) -> Path:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel
        from tokenizers.pre_tokenizers import Whitespace
        from tokenizers.processors import TemplateProcessing
        from transformers import PreTrainedTokenizerFast

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


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    from tests import browser

    if missing := browser.lacking():
        told = f"not on this machine: {', '.join(missing)}; `make browser` brings it"
        (pytest.fail if browser.required() else pytest.skip)(f"THE PAGES WERE NOT OPENED IN A BROWSER: {told}")
    started = browser.Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.quit()


@pytest.fixture
def browser(_browser: Browser) -> Iterator[Browser]:
    """A browser for the test; whatever it was used for, the console stayed silent and no request left the page."""
    _browser.complaints()
    yield _browser
    assert _browser.complaints() == []
