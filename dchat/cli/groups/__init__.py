"""`dchat tx`, `dchat query` and `dchat database`, each with all that joins it."""
