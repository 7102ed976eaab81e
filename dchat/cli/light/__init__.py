"""`dchat light`: a chain followed, and a door on this machine that answers what was verified, and nothing else."""
