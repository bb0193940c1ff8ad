"""What we try, one file each: `base_*`, `prompt_*`, `tune_*`, `both_*`. A file here is a way, found by its name."""
