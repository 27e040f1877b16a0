"""Completions that other tools wrote, read as rows of one kind: a module a layout, and one that tells them apart."""
