"""Where completions come from: one file an engine, found by entry point."""
