"""Data: token streams whose batches are a pure function of the run's seed and the step."""
