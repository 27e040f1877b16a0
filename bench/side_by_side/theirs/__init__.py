"""A script for each peer, which runs in its environment and writes what it measures."""
