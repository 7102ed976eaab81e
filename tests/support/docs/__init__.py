"""What the pages of docs/ say to type, read and typed: `tests/dchat/cli/test_examples.py`."""
