"""What transactions are made of: gas, units, codec, errors, addresses; above these messages/, then envelope/."""
