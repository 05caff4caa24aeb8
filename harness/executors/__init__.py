"""Executors: how cells are run. They know nothing of learning."""
