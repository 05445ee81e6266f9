"""Sweeps: many runs planned as few programs, each run claimed once, trained in lanes and recorded on its own."""
