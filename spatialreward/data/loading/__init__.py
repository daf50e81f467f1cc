"""Reads packed training data: shuffled, from many processes, and again from the exact sample."""
