"""Measures the served judge beside a re-creation of the design that it replaces.

``python -m serving.bench --help``; ``make bench-serving`` runs all of it.
"""
