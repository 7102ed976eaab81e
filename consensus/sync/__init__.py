"""Catching up with a chain that is ahead."""
