"""Tests of dchat.backups."""
