"""The HTML report and the verdict in words."""
