"""Proposes edit regions of two pictures from pixel evidence."""
