"""Builds data sets of edits."""
