"""What people, or those that stand for them, prefer: pairs of completions, and who chose which."""

from evalkit.preferences.files import read_preferences, write_preferences
from evalkit.preferences.pairs import Pair, read_pairs, write_pairs
from evalkit.preferences.preference import Preference

__all__ = ["Pair", "Preference", "read_pairs", "read_preferences", "write_pairs", "write_preferences"]
