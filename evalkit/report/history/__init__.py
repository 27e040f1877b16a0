"""Many runs of one suite as lines over time."""
