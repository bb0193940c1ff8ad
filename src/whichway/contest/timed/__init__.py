"""A contest against the clock: bought piece by piece, what can change the verdict first, decided after each piece."""
