"""PromptAD as the VAND 3.0 report describes it: learned prompts in vision and text space, and a convolutional head.

    method = build_promptad(encoder, [Subject("bottle")])          # to train
    judge  = load_promptad(Path("bottle.safetensors"), encoder)    # to judge pictures

`settings.py` holds every choice, `net.py` the tensors, `losses.py` the six losses, `method.py` the training side,
`judge.py` the judging side, `words.py` the sentences. Torch is loaded with the first of them that is used.
"""
