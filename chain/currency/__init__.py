"""The currency machine: accounts, payments, fees, supply. Pure and deterministic."""
