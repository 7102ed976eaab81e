"""A hostile peer, client or validator against four real processes; see docs/hostile.md."""
