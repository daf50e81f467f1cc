"""Measures judges and editors against known truth."""
