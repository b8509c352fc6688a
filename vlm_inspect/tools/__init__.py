"""What a model, or an engineer, may look up in the dialogue over a case.

toolbox.py     READ FIRST: the tools by name, as LangChain tools and as OpenAI functions; one call -> one result
arguments.py   what each tool takes (pydantic); how it is described is data: prompts/words/chat_tools.yaml
result.py      text and pictures of one call; ToolError, which becomes one line
material.py    what the tools draw on: the case, its sample, its references, the store
looking.py     zoom, comparison with references, heatmaps
scan_looks.py  a scan from another direction, or nearer
clip_looks.py  frames around a second, a stretch of a curve
measuring.py   between two points, of a rule; the text of a rule
similar.py     earlier cases that look alike
"""
