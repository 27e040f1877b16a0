"""Quality: how good single completions are. One file a family, one function a score."""
