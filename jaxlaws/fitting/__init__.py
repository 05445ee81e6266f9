"""Fitting: any law under any noise model, all starts and resamples in one program, and a fit as a small JSON file."""
