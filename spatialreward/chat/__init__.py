"""Clients for servers with OpenAI's chat completions API, shared by teacher and judge."""
