"""The prompt optimiser: edits, the choice among them, guards."""
