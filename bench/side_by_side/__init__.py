"""The same texts measured by peers and by evalkit, values and seconds side by side: the tables of docs/peers.md."""
