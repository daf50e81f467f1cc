"""Measures the served judge against a re-creation of the previous design.

``python -m serving.bench --help``; ``make bench-serving`` runs all of it.
"""
