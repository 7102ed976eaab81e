"""`dchat tx`, `query`, `database` and `genesis`, each with all that joins it."""
