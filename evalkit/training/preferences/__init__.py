"""Pairs of completions, and who prefers which."""
