"""Fair comparison: equal numbers, equal lengths, equal quality. Pure functions of completions and values."""
