"""Measures data building against straightforward baselines."""
