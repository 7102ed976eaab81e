"""What transactions are made of: gas, units, record codec, errors, addresses; above these messages/, above them envelope/."""
