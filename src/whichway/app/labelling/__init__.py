"""Labelling by hand: which rows next, what is said about them, and when to stop."""
