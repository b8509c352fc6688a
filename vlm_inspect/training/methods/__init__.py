"""The methods that can be trained, as the training loop sees them: one file a method."""
