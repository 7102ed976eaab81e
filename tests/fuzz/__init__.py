"""Coverage-guided fuzzing of every decoder and handler that meets outside bytes.

`targets` names them, with what they may refuse by, their seeds, and how much work a byte may cost; `run` gives one to
atheris; `tests.campaigns.fuzz` runs them all; `corpus/NAME.txt` keeps what opened new paths, an input a line, in hex.
"""
