"""Training on several nodes of a cluster, as a TrainJob of Kubeflow Trainer that a step follows."""
