"""Whether a model listens: rules left out or negated, another class name, pictures and options in another order."""
