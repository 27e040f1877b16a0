"""A sentence encoder from a folder: a sentence-transformers model, or a plain Hugging Face encoder.

What sentence-transformers adds to a plain encoder is said in a few small JSON files: how token vectors become one
(mean over the tokens, first token, maximum), how long a text may be. They are read here, so that the package
itself, which would also load pickles and run Python code from the folder, is not needed. A model with parts that these
files cannot tell (a dense layer, a prompt before each text) is refused: its rows would not be its authors' own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evalkit.checkpoints.folder import check, fingerprint, locate, read_config
from evalkit.errors import CheckpointError
from evalkit.plumbing.length_batches import by_length, in_parts

Floats = NDArray[np.float32]
Pooling = Literal["mean", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
BATCH_TOKENS = 16_384
"""Tokens in one batch, padding included."""
UNTOLD = 512
"""Tokens of a text that are read where no file says how many the network takes."""


@dataclass(frozen=True)
class Recipe:
    """All that decides an encoder's rows."""

    folder: str
    pooling: Pooling
    most_tokens: int
    """Longer texts are cut, as sentence-transformers does."""
    lower: bool
    dimensions: int
    identity: str
    """Hash of the weights and of the settings above: the same model under two names is the same encoder."""


def read_recipe(source: str) -> Recipe:
    """Find and check the encoder that a user named; nothing is loaded. Raises `CheckpointError`."""
    try:
        home = locate(source)
        modules = _modules(home)
        folder = home / modules.get("Transformer", "")
        check(folder)
        config = read_config(folder)
        if config.get("is_encoder_decoder"):
            raise CheckpointError(f"{folder} is an encoder-decoder; an encoder alone is needed")
        pooling = _pooling(home / modules["Pooling"]) if "Pooling" in modules else "mean"
        most, lower = _text_settings(folder, config)
        dimensions = int(config.get("hidden_size") or config["dim"])
    except CheckpointError as error:
        raise CheckpointError(f"encoder {source!r}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"encoder {source!r}: its JSON files do not say what it is made of ({error!r})") from None
    settings = f"{fingerprint(folder)} {pooling} {most} {lower}"
    identity = f"{config.get('model_type', 'encoder')}-{pooling}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"
    return Recipe(str(folder), pooling, most, lower, dimensions, identity)


class TransformerEncoder:
    """An encoder in memory; lives in a child process."""

    def __init__(self, recipe: Recipe) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._recipe = recipe
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModel.from_pretrained(recipe.folder, dtype=torch.float32, use_safetensors=True)
        self._model = model.to(self._device).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(recipe.folder)

    def encode(self, texts: Sequence[str]) -> Floats:
        """(m, d) float32 rows of length 1. A text without a token has the same row as every other such text."""
        tokens = [self._tokens(text) for text in texts]
        # Metrics need a row of length 1 even where there is nothing to read.
        rows = np.full((len(texts), self._recipe.dimensions), self._recipe.dimensions**-0.5, dtype=np.float32)
        read = [index for index, ids in enumerate(tokens) if ids]
        for batch in by_length([len(tokens[index]) for index in read], BATCH_TOKENS):
            numbers = [read[index] for index in batch]
            rows[numbers] = in_parts([tokens[number] for number in numbers], self._encode_batch)
        return rows

    def _tokens(self, text: str) -> list[int]:
        text = text.strip()
        text = text.lower() if self._recipe.lower else text
        return list(self._tokenizer(text, truncation=True, max_length=self._recipe.most_tokens)["input_ids"])

    def _encode_batch(self, batch: Sequence[Sequence[int]]) -> Floats:
        import torch

        width = max(map(len, batch))
        pad = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*tokens, *[pad] * (width - len(tokens))] for tokens in batch], device=self._device)
        lengths = torch.tensor([len(tokens) for tokens in batch], device=self._device)
        mask = (torch.arange(width, device=self._device) < lengths[:, None]).long()
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            rows = torch.nn.functional.normalize(_pool(hidden, mask[..., None], self._recipe.pooling), dim=1)
        embeddings: Floats = rows.cpu().numpy()
        return embeddings


def _pool(hidden: Any, mask: Any, pooling: Pooling) -> Any:
    """(b, t, d) token vectors and their (b, t, 1) mask as (b, d)."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(mask == 0, -np.inf).amax(dim=1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _modules(home: Path) -> dict[str, str]:
    """Kind of part -> its folder, as modules.json says; empty for a plain encoder."""
    modules = _read_json(home / "modules.json", [])
    kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
    unknown = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
    if unknown:
        raise CheckpointError(
            f"{home / 'modules.json'} asks for {', '.join(unknown)}; encoders of Transformer, Pooling and Normalize "
            "can be used"
        )
    if any(Path(path).is_absolute() or ".." in Path(path).parts for path in kinds.values()):
        raise CheckpointError(f"{home / 'modules.json'} leads out of its folder")
    prompt = _read_json(home / "config_sentence_transformers.json", {}).get("default_prompt_name")
    if prompt is not None:
        raise CheckpointError(f"it puts a prompt ({prompt!r}) before every text, which evalkit does not")
    return kinds


def _pooling(folder: Path) -> Pooling:
    path = folder / "config.json"
    settings = _read_json(path, {})
    flags = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}
    modes = [flags.get(key, key) for key, value in settings.items() if key.startswith("pooling_mode_") and value]
    modes = modes or [str(settings.get("pooling_mode"))]
    for pooling in POOLINGS:
        if modes == [pooling]:
            return pooling
    raise CheckpointError(f"{path} asks for pooling by {', '.join(modes)}; one of mean, cls and max can be had")


def _text_settings(folder: Path, config: dict[str, Any]) -> tuple[int, bool]:
    """How many tokens are read, and whether texts are put in lower case first."""
    settings = _read_json(folder / "sentence_bert_config.json", {})
    limits = [settings.get("max_seq_length"), _read_json(folder / "tokenizer_config.json", {}).get("model_max_length")]
    # RoBERTa and its relatives count positions from behind the padding token's id.
    spare = config["pad_token_id"] + 1 if config.get("model_type") in ("roberta", "xlm-roberta", "camembert") else 0
    limits.append(config.get("max_position_embeddings", UNTOLD) - spare)
    known = [int(limit) for limit in limits if limit is not None]
    return min(known), bool(settings.get("do_lower_case"))


def _read_json(path: Path, default: Any) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if type(content) is not type(default):
        raise CheckpointError(f"{path} is not a JSON {'array' if default == [] else 'object'}")
    return content
