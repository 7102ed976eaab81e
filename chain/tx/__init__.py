"""What transactions are made of: gas, units, codec, errors, addresses; above these messages/, then envelope/."""

__all__ = ["addresses", "codec", "errors", "gas", "units"]
