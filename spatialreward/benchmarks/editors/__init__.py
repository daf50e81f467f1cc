"""Benchmarks of editors: published tasks, edits of them, and a judge that grades the edits."""
