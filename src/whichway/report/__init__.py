"""Views of a finished run folder: `html.write` makes one self-contained page, `terminal.show` prints a summary.

Both are pure functions of the run folder and never meet a model.
"""
