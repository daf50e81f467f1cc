"""Edit samples: the generated world, and the data sets that everything else reads."""
