"""The Tendermint engine: formats (types), the algorithm (core), what runs it (engine), catching up (sync)."""
