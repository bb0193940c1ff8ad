"""Services that fine-tune models, one file for each protocol."""
