"""Measures data building beside straightforward ways to do the same."""
