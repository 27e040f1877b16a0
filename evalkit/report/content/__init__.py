"""What a report is made from: of a run, read back from a folder, or merged from several."""
