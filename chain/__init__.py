"""The application: transactions, the kernel, authenticated stores, the two machines, upgrades."""
