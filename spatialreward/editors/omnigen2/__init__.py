"""OmniGen2 as an editor; its classes and tensors have the names that its public weights have."""
