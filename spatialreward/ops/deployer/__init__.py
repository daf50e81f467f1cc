"""Serves the champion: follows an alias in the registry, and gives it back on failure.

``loop`` is the process, ``reconcile`` one look at registry and service, ``backends`` are the places
where a judge is served: one Triton server (``local``) or a Rollout in a cluster (``cluster``).
"""
