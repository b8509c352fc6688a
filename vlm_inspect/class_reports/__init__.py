"""What an inspector's references can tell, for people: `vlm-inspect sensitivity` and `vlm-inspect references check`."""
