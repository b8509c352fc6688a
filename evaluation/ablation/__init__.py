"""`vlm-inspect ablate`: what each part of the prompt is worth, rung by rung."""
