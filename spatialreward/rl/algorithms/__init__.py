"""Algorithms of online RL for flow-matching editors, one file each; ``rl.loop`` runs them all."""
