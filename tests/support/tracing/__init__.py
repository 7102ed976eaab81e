"""A collector for tests of tracing."""
