"""emb-diversity: the three of its measures that evalkit has too, on the given embeddings, prompt by prompt."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from typing import Any

from shared import CHECKOUT, WITH_VECTORS, keep, sets, timed, write

ASKED = {"vendi_score": {}, "mean_pw_dist": {}, "renyi_entropy": {"alpha": 2.0}}


def main() -> None:
    sys.path.insert(0, str(CHECKOUT) + "/src")
    _name_version()
    peer = importlib.import_module("emb_diversity")
    # It keeps distances in .cache of the working directory: in a new one nothing is known beforehand.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, arm, _, vectors in sets(*WITH_VECTORS):
            for measure, settings in ASKED.items():
                one = getattr(peer, measure)
                keep(measure, name, arm, *timed(_each, one, vectors, settings))
        os.chdir("/")
    write()


def _name_version() -> None:
    """It asks for its installed version, which a checkout in the path has none of: any will do."""
    known = metadata.version
    metadata.version = lambda name: "checkout" if name == "emb-diversity" else known(name)  # type: ignore[assignment]


def _each(measure: Callable[..., Any], vectors: list[Any], settings: dict[str, float]) -> list[float]:
    return [measure(of_prompt, **settings)["value"] for of_prompt in vectors]


if __name__ == "__main__":
    main()
