"""Open vision-language models on this machine, by transformers: `load_backend("hf:FOLDER")`.

    folder.py    a name -> a folder that can be used, or the one line that says why not
    memory.py    what the model needs, before it is loaded, against what is free
    loading.py   processor and model
    families.py  what a model takes: number of pictures, roles, order of text and pictures
    sheet.py     all pictures of a request on one sheet, for models of a single picture
    prompt.py    Request -> tokens and picture tensors, by the model's own chat template
    pictures.py  picture tensors -> features, only of the pictures that are wanted
    prefix.py    what the prompts begin with in common, computed once
    schema.py    the answer's schema with every length bounded
    grammar.py   only tokens that the schema allows, and what each was worth
    model.py     READ FIRST: the backend, from requests to replies

Nothing is downloaded and no code of a model's repository is run, unless that is asked for.
"""
