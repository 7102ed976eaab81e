"""Runbooks that run: alerts are caused in a network, a Prometheus sees them, and their pages' commands are typed."""
