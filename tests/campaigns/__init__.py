"""Long checks against a network of real processes; each has a command of its own (scripts/campaign)."""
