"""Parts of transactions: gas, units, codec, errors, addresses, key policies; above these messages/, then envelope/."""

__all__ = [
    "addresses",
    "allowance_errors",
    "chat_errors",
    "codec",
    "errors",
    "gas",
    "identity_errors",
    "payment_errors",
    "policies",
    "units",
    "vesting_errors",
]
