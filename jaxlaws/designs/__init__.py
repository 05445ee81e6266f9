"""What to run next: schedules from fitted laws, and the convex bound."""
