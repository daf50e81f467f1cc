"""Does a judge that predicts regions make a better editor? Measured where the truth is known."""
