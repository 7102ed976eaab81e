"""The running height: what drives the core and carries its effects out."""
