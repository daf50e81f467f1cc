"""Compares editors and registers them."""
