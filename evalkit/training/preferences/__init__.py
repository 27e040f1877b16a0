"""Pairs of completions, and who prefers which.

checkpoint -> pairs -> values of each rater group -> preferences (prompt, chosen, rejected, rater, group)
"""
