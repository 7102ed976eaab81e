"""Schemas and the modules generated from them. Generated files are never edited; scripts/proto makes them."""
