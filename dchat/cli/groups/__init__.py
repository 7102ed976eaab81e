"""`dchat tx` and `dchat query`, each with all that joins it."""
