"""Measures judges."""
