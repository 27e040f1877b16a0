"""The trainer that makes comparison models: preferences, reward models, supervised fine-tuning, PPO, DPO and best-of-n.

    prompts -> samples -> preferences -> reward model -> PPO against a reference, a checkpoint for each beta

`ppo.py` is the algorithm, to be read from top to bottom; every other file is one thing it stands on.
"""
