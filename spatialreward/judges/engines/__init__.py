"""Engines that run a judge's forward passes: transformers or vLLM, behind one interface."""
