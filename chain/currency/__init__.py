"""The currency machine: accounts, payments, fees, stake, supply. Pure and deterministic."""
