"""Training: runs of equal shape are lanes of one program, everything else about them is data."""
