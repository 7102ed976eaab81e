"""A headless Chromium, spoken to over its DevTools protocol, for tests of pages and for their pictures."""
