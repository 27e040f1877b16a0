"""Which words and phrases arms gained and lost against their baselines, and what they make of a user's own list."""
