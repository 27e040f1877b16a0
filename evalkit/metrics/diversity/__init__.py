"""Diversity: how different one prompt's completions are from each other. One file a family, one function a metric."""
