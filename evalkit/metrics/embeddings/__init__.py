"""Sentence encoders, and what they said of each text, kept."""
