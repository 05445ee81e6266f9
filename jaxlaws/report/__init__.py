"""Reports: pictures and pages of sweeps and fits."""
