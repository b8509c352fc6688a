"""Answers to questions about a part from its record, without a language model, in the language of the question.

answering.py      READ FIRST: a question and a record give sentences
questions.py      what a question asks for: language, topics, rules, measures, places
language.py       the words of one language, from prompts/dialogue/
record.py         what is known of the part
places.py         its numbered places, and which of them are one
part_axis.py      how far along the part a place lies
place_answers.py rule_answers.py trust_answers.py   the sentences
"""
