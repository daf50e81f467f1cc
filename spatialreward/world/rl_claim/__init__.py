"""Does a judge with regions make a better editor? Measured against known truth."""
