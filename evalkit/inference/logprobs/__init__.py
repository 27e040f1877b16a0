"""Checkpoints read texts that are there: what measures need to know beyond what was sampled."""
