"""Models behind a server that speaks OpenAI's chat completions; a teacher and a judge ask them."""
