"""What every encoding stands on: protobuf by hand, bit arrays, timestamps, JSON text, one tree of errors. Pure."""

__all__ = ["bits", "bounds", "chain_ids", "errors", "json_text", "timestamps", "units", "wire"]
