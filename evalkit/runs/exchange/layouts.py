"""Names of the layouts that are read: what `--format` takes."""

from __future__ import annotations

from typing import Literal, get_args

Layout = Literal["evalkit", "inspect", "lm-eval", "lighteval", "novelty-bench", "openai-batch", "trl"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
