"""A Triton Deployment for each version, and the Service that clients ask.

All that is known is in the cluster: the Service's selector says who is served, one of its
annotations who was before. Objects are written by server-side apply, so writing them again changes
nothing, and whoever finds something half done does it again.
"""
