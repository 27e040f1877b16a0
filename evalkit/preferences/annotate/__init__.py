"""The page on which people choose between two completions: what they are asked, the store, the server."""
