"""The work on a cluster: artifacts, steps, tracking, registry, promotion, roll-out, Kubeflow."""
