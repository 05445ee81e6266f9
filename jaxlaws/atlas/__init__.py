"""Every law on every table at hand: errors and coverage on runs that it was not fitted to, as a CSV and a page."""
