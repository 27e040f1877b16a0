"""A verdict of the gate, told to people and to machines: terminal, Markdown, JUnit, GitHub, JSON."""
