"""The plots, as plain Plotly figures."""
