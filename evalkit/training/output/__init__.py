"""What a training leaves behind: checkpoints with their cards, curves, the page."""
