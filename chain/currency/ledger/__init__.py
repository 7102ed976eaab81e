"""What the currency store holds and how udchat moves in it: records, fixed point, params, the machine's own
accounts."""

__all__ = ["bank", "dec", "economic_params", "records", "stake_records"]
