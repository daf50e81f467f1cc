"""Qwen-VL checkpoints as judges: folders, weights, prompts, guided answers, soft scores."""
