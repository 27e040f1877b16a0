"""Templates, styles and scripts, and how they become one file that asks the network for nothing."""
