"""SpatialReward: a reward model for image editing that says where an edit happened before it scores it."""
