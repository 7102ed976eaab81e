"""`python -m cli` is `dchat`."""

from cli.main import main

main()
