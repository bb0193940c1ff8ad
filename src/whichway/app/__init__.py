"""One function for each thing a user can ask for; the command line, the page and Python call these and nothing else."""
