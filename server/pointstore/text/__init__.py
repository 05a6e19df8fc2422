"""Text analysis: what the tokens of a text are, and what they weigh. Pure functions; nothing here knows of storage."""
