"""What runs a judge's forward passes: transformers or vLLM, behind one interface."""
