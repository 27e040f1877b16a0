"""What every peer's script needs, with nothing but numpy: it runs in the peer's environment, where evalkit is not.

A script is called with the folder of texts, the file to write, and the peer's checkout where it has one. It writes
{measure: {set: {arm: {"values": one a prompt, or one number, "seconds": of processor}}}}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from processor import timed as timed

FOLDER, OUT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
CHECKOUT = Path(sys.argv[3]) if len(sys.argv) > 3 else None
WITH_VECTORS = ("drawn", "real")
found: dict[str, dict[str, dict[str, Any]]] = {}


def sets(*names: str) -> list[tuple[str, str, list[dict[str, Any]], list[Any]]]:
    """(set, arm, prompts, embeddings of each prompt's generations) of those of these sets that are there."""
    listed = []
    for name in names:
        path = FOLDER / f"{name}.json"
        for arm, rows in json.loads(path.read_text()).items() if path.exists() else ():
            vectors = FOLDER / f"{name}-{arm}.npy"
            ends = np.cumsum([len(row["generations"]) for row in rows])[:-1]
            listed.append((name, arm, rows, np.split(np.load(vectors), ends) if vectors.exists() else []))
    return listed


def keep(measure: str, name: str, arm: str, values: Any, seconds: float) -> None:
    made = {"values": np.asarray(values, dtype=np.float64).tolist(), "seconds": seconds}
    found.setdefault(measure, {}).setdefault(name, {})[arm] = made


def write() -> None:
    OUT.write_text(json.dumps(found))
