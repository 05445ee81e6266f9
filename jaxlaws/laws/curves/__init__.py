"""Laws of the loss along a schedule, one file each."""
