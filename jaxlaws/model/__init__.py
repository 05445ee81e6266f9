"""Models: a decoder-only transformer sealed behind pure functions."""
