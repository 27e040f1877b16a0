"""What the tuning gained and cost, in words."""
