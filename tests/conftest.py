"""What holds for all tests: no property fails because a shared machine was busy; work is bounded by counting it."""

from hypothesis import settings

settings.register_profile("counted", deadline=None)
settings.load_profile("counted")
