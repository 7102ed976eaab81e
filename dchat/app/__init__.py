"""The composition: the only room above both machines and the bridge. Modules, reads, the ABCI application."""
