"""What is left out of training data: each filter answers None, or a reason with a detail."""
