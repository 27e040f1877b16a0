"""where-diversity-collapses: its calculators of EAD, SBERT, VENDI and NLI, on the given embeddings and judge."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared import CHECKOUT, FOLDER, WITH_VECTORS, keep, sets, timed, write

JUDGED = 8
"""Prompts of which all pairs are judged by the NLI model."""


def main() -> None:
    sys.path.insert(0, str(CHECKOUT / "src" if CHECKOUT else ""))
    peer = importlib.import_module("evaluation.lighteval_diversity_metrics")
    for name, arm, rows, vectors in sets(*WITH_VECTORS):
        _words(peer, name, arm, rows)
        _meaning(peer, name, arm, vectors)
        if name == "drawn":
            _nli(peer, name, arm, rows)
    write()


def _words(peer: Any, name: str, arm: str, rows: list[Any]) -> None:
    calculator = peer.EADDiversityCalculator(peer.DiversityConfig().ngram_range)
    texts = [row["generations"] for row in rows]
    keep("EAD", name, arm, *timed(calculator.per_input, texts))
    keep("EAD across", name, arm, *timed(calculator.across_input, [of_prompt[0] for of_prompt in texts]))


def _meaning(peer: Any, name: str, arm: str, vectors: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        calculator = peer.SentenceBERTDiversityCalculator("given", 1, 512, cache_dir=Path(folder))
    rows = torch.tensor(np.concatenate(vectors))
    ends = np.cumsum([len(of_prompt) for of_prompt in vectors]).tolist()
    offsets = list(zip([0, *ends[:-1]], ends, strict=True))
    firsts = [start for start, _ in offsets]
    keep("SBERT", name, arm, *timed(calculator.per_input_from_embeddings, rows, offsets))
    keep("SBERT across", name, arm, *timed(calculator.across_input_from_embeddings, rows, firsts))
    keep("VENDI", name, arm, *timed(calculator.vendi_per_input_from_embeddings, rows, offsets))
    keep("VENDI across", name, arm, *timed(calculator.vendi_across_input_from_embeddings, rows, firsts))


def _nli(peer: Any, name: str, arm: str, rows: list[Any]) -> None:
    evaluator = peer.NLIDiversityEvaluator(str(FOLDER / "nli"), 64, 512, -1, -1, 3, random_seed=0)
    groups = [peer.OutputGroup(row["id"], row["generations"], row["prompt"]) for row in rows[:JUDGED]]
    keep("NLI", name, arm, *timed(evaluator.per_input, groups))


if __name__ == "__main__":
    main()
