"""A vision-language model as teacher: where an edit is, what became of it, how good it is.

Any endpoint that speaks OpenAI's chat completions will do (vLLM, SGLang, OpenAI and others).
"""
