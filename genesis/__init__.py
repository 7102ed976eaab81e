"""Genesis documents: build, validate, test networks."""
