"""Commands of what people agree on: escrows, conditions, attestations, and bundles that are made ready."""
