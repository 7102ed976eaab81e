"""The light client: what makes a later header as good as an earlier one. Needs consensus types and crypto alone."""
