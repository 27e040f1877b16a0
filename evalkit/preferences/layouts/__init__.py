"""Preference files as people have them, one file a layout: each turns an object of a file into a `Preference`.

`own` is read by `preferences.py` itself; the others are conversations in one form or another (`turns.py`).
"""
