"""Which completions of a prompt say the same: the rule that divides them, and who tells where no rule does."""
