"""Attacked copies of labelled edits, from which a judge learns to resist attacks."""
