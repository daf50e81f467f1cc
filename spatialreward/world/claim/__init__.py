"""Does predicting regions first make a better judge? Measured against known truth."""
