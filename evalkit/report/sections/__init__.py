"""The page's sections, each laid out for its template."""
