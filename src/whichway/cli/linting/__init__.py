"""Lint from the command line: which prompts a file holds, what is known of the model, what an edit changes on dev."""
