"""SpatialReward: a judge of image edits that says where an edit happened before it scores it."""
