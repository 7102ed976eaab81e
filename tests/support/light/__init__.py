"""Chains of headers with changing validators, and providers that tell them, honestly or not."""
