"""`python -m dchat` is `dchat`."""

from dchat.cli.main import main

main()
