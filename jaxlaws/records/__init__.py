"""Records: one table of runs and one curve a run, the only thing that training and laws share besides schedules."""
