"""Which candidates go on: races over dev rows, successive halving, finalists."""
