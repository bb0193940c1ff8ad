"""One verb per file: the file's first line is its help, and it holds a function of the file's name."""
