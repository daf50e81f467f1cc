"""The reward model in-process: its model class, its pictures and prompts, its judgements."""
