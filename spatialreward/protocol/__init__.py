"""Prompts and answers of a judge: how answers are parsed and how scores become a reward."""
