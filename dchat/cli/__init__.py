"""The dchat command."""
