"""Programs that the check starts, each in a process of its own; they import nothing of ours but each other."""
