"""The trainer that makes comparison models: preferences, reward models, supervised fine-tuning, PPO, DPO and best-of-n.

    prompts -> samples -> preferences -> reward model -> PPO, RLOO or GRPO near a reference, a checkpoint for each beta

`policy_gradient.py` is the loop, to be read from top to bottom; `ppo.py`, `rloo.py` and `grpo.py` say what came beyond
expectation, `divergences.py` what holds a policy near its start; every other file is one thing they stand on.
"""
