"""Voices: their examples, and the classifier that tells them apart."""
