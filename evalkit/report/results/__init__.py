"""A finished measurement in Python: numbers and texts as frames, charts as figures, the verdict in a notebook."""
