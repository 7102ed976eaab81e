"""What every command shares: options, exit codes, plain errors, tables, where trust begins."""
