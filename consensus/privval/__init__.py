"""Signing without ever contradicting oneself, and the looks that come before the first signature."""
