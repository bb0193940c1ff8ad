"""What `backends/openai.py` consists of: keys, requests, labels, calls, and how many are under way."""
