"""dchat/reload."""
