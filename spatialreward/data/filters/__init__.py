"""Filters of training data: each returns None, or a reason with a detail."""
