"""Prompts: methods that learn tokens. One file each."""
