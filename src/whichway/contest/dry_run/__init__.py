"""A contest that is only simulated: what it would take."""
