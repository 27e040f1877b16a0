"""The atlas: every different text of a run on one map, with the names of its regions and each text's nearest others.

The maps of `embedding_map` are about how wide an arm's answers are, prompt by prompt. This one is about what is said,
by whom, and what else is like it, in runs of up to 200 000 completions.
"""

from evalkit.analysis.atlas.draw import draw_atlas

__all__ = ["draw_atlas"]
