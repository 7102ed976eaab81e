"""The doors under load beside consensus: what readers cost the pace of blocks (docs/performance.md)."""
