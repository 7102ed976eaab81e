"""Faults injected into the product among simulated others, and what its records say of them."""
