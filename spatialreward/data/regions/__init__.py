"""Where two pictures differ: edit regions proposed from pixel evidence."""
