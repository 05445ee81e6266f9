"""Schedules: a schedule is an array lr[steps], shared by training, laws and design."""
