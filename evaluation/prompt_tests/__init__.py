"""Whether a model follows its rules: rules left out or negated, another class name, other orders."""
