"""The Hydra launcher that runs all the jobs of a sweep at once."""
