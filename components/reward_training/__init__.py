"""Trains judges."""
