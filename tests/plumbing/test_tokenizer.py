"""Tokenizers are chosen by script for all texts together, and sacreBLEU's are had by name."""

from __future__ import annotations

import sys

import pytest
from sacrebleu.tokenizers.tokenizer_intl import TokenizerV14International
from sacrebleu.tokenizers.tokenizer_ja_mecab import TokenizerJaMecab

from evalkit.errors import MetricError
from evalkit.plumbing import tokenizer as tokenizers
from evalkit.plumbing.tokenizer import SHARE, check, choose, signature, tokenizer

ENGLISH, CHINESE, JAPANESE = "Write one line about the sea.", "写一句关于大海的话。", "海について一行書いてください。"


@pytest.mark.parametrize(
    ("prompts", "completions", "chosen"),
    [
        pytest.param([ENGLISH], ["The sea is blue."], "13a", id="English"),
        pytest.param(
            ["Γράψε μια γραμμή.", "एक पंक्ति लिखो।", "한 줄을 써라."], ["더 푸른 바다"], "13a", id="spaced scripts"
        ),
        pytest.param([CHINESE], ["大海是蓝色的。"], "zh", id="Chinese"),
        pytest.param([JAPANESE], ["海は青いです。"], "13a+char", id="Japanese"),
        pytest.param(["เขียนหนึ่งบรรทัด"], ["ทะเลสีฟ้า"], "13a+char", id="Thai"),
        pytest.param(["ຂຽນ"], ["ທະເລສີຟ້າ"], "13a+char", id="Lao"),
        pytest.param(["សរសេរ"], ["សមុទ្រពណ៌ខៀវ"], "13a+char", id="Khmer"),
        pytest.param(["ရေးပါ"], ["ပင်လယ်ပြာ"], "13a+char", id="Burmese"),
        pytest.param([ENGLISH, CHINESE], ["The sea is blue.", "大海是蓝色的。"], "zh", id="English and Chinese"),
        pytest.param([ENGLISH, CHINESE, "ทะเล"], ["The sea is blue."], "13a+char", id="English, Chinese and Thai"),
        pytest.param([CHINESE], ["The sea is blue."] * 50, "zh", id="Chinese prompts, every arm answers in English"),
        pytest.param([ENGLISH], ["大海是蓝色的。"], "zh", id="English prompts, Chinese answers"),
        pytest.param([ENGLISH], ["The sea is blue."] * 50 + ["大海"], "13a", id="a stray answer in Chinese"),
        pytest.param([ENGLISH], [], "13a", id="no completions"),
        pytest.param([""], ["", "123 !?"], "13a", id="no letters"),
    ],
)
def test_the_scripts_of_all_texts_choose(prompts: list[str], completions: list[str], chosen: str) -> None:
    assert choose(prompts, completions)[0] == chosen
    assert choose(prompts[::-1], completions[::-1])[0] == chosen


@pytest.mark.parametrize(("chinese", "chosen"), [(9, "13a"), (10, "zh")])
def test_a_tenth_of_the_letters_is_where_a_script_counts(chinese: int, chosen: str) -> None:
    assert choose([ENGLISH], ["a" * (100 - chinese), "海" * chinese]) == (chosen, pytest.approx(chinese / 100))
    assert SHARE == 0.1


def test_japanese_is_split_as_sacrebleu_splits_it_where_asked() -> None:
    text = "すもももももももものうち。\n海は 青い\ud800"
    split = tokenizer("ja-mecab")
    assert split("すもももももももものうち。") == ("すもも", "も", "もも", "も", "もも", "の", "うち", "。")
    assert split(text) == tuple(TokenizerJaMecab()("すもももももももものうち。 海は 青い?").split())
    assert signature("ja-mecab") == TokenizerJaMecab().signature()
    assert signature("ja-mecab").startswith("ja-mecab-0.99")


def test_international_is_split_as_sacrebleu_splits_it_where_asked() -> None:
    text = "“Où est-ce ?” — 3,5 €"
    assert tokenizer("intl")(text) == tuple(TokenizerV14International()(text).split())


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("ja-mecab", "sacrebleu.tokenizers.tokenizer_ja_mecab", "pip install 'sacrebleu[ja]'"),
        ("ko-mecab", "sacrebleu.tokenizers.tokenizer_ko_mecab", "pip install 'sacrebleu[ko]'"),
        ("flores200", "sacrebleu.tokenizers.tokenizer_spm", "pip install sacrebleu sentencepiece"),
        ("intl", "sacrebleu.tokenizers.tokenizer_intl", "pip install sacrebleu"),
    ],
)
def test_what_is_missing_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch, name: tokenizers.Name, module: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    tokenizers._peer.cache_clear()
    with pytest.raises(MetricError, match="is not installed here") as caught:
        check(name)
    tokenizers._peer.cache_clear()
    assert command in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_fetched_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.tokenizers import tokenizer_spm

    def offline(*_: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(tokenizer_spm, "download_file", offline)
    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", "/nowhere")
    tokenizers._peer.cache_clear()
    with pytest.raises(MetricError, match="'flores200' needs a model that could not be fetched: no route to host"):
        check("flores200")


def test_auto_needs_nothing_that_is_not_there() -> None:
    check("auto")
    assert {signature(name) for name in ("13a", "zh", "13a+char", "char")} == {"13a", "zh", "13a+char", "char"}
