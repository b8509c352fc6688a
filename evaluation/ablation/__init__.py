"""`vlm-inspect ablate`: what each part of the prompt is worth, variant by variant."""
