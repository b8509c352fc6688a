"""Training of the methods that learn: data folders, the loop, checkpoints and the record of a run."""
