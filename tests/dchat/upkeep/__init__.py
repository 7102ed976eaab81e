"""Tests of dchat.upkeep."""
