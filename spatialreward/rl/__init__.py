"""Fine-tunes an editor against a judge: Flow-GRPO on flow-matching editors."""
