"""The prompt as an object: rendering, frameworks, shots, lint."""
