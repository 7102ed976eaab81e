"""Commands of the chat, a file for each subject: channels, messages, keys of epochs, identities.

What is sent and what is looked up stand beside each other: a new message of the chat adds to the file of its
subject alone.
"""

__all__ = [
    "words",
]
