"""A PostgreSQL server of its own for tests of `dchat.sql`."""
