"""Attacked copies of labelled edits, from which a judge learns what earns no better score."""
