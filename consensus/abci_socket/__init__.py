"""ABCI 2.0 over a socket, both ways: any application served to another engine, another's application asked by ours."""

__all__ = ["address", "client", "errors", "server"]
