"""Judges behind one interface, and the one string that names any of them."""
