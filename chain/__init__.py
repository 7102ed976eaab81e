"""The replicated application: transactions, the authenticated store, the two machines."""
