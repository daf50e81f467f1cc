"""Does a judge that predicts regions first judge better? Measured where the truth is known."""
