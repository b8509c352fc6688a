"""Sentences about normal and abnormal parts, for methods that compare pictures with words.

The sentences are data (`prompts/zero_shot/*.yaml`): `ensembles.py` builds the published grids from them,
`written_bank.py` and `language_bank.py` give what a person or a language model says of a class, `embeddings.py` turns
all of them into features, once.
"""
