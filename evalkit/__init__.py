"""evalkit: what did preference tuning do to a model, and is it what you want?"""

__version__ = "0.1.0"
