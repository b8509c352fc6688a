"""The dialogue over a case: an engineer asks, a model looks again, and what the engineer corrects is kept.

dialogue.py        READ FIRST: one turn: question in, answer with its calls and pictures out; all of it recorded
speakers.py        who answers: a model with tools, or a model on a fixed plan
evidence_talk.py   answers from the record, without a language model
conversation.py    how a model is talked with: streamed with tools, or whole answers
context.py         what a model is told: the inspection, the turns so far
citations.py       places that an answer names, and whether they exist
corrections.py     proposals: a changed rule book, with its diff, applied on yes
rule_edits.py      small changes of a rule book's YAML that leave the rest as it was written
flips.py           what a change would have made of the cases in the store
session.py         the loop on the screen: questions, slash commands, yes and no
commands.py        the slash commands
screen.py          a terminal with line editing, or a pipe; pictures
"""
