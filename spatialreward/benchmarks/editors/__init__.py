"""Benchmarks of editors: published tasks, an editor's results, and a judge that grades them."""
