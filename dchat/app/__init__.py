"""The composition: the only room above both machines and the bridge. Modules, reads, the ABCI application."""

__all__ = [
    "app",
    "bridge_queries",
    "build_plan",
    "chat_queries",
    "composition",
    "dry_run",
    "economy_queries",
    "errors",
    "genesis_params",
    "governance_queries",
    "payment_queries",
    "queries",
    "snapshots",
]
