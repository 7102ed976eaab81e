"""Losses of power: what a process did to its files, recorded, and the disks that a loss at any of its steps leaves."""

from tests.support.power.disks import PROFILES, Machine, Profile
from tests.support.power.journal import Mark, Step, read_journal
from tests.support.power.recording import Recorder, find_compiler

__all__ = ["PROFILES", "Machine", "Mark", "Profile", "Recorder", "Step", "find_compiler", "read_journal"]
