"""Laws of the loss of a run, one file each."""
