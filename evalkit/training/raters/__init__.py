"""Simulated raters: what groups of stated values prefer.

checkpoint -> pairs -> values of each rater group -> preferences (prompt, chosen, rejected, rater, group)
"""
