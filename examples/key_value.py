"""A chain of one's own in Python: a key-value store that several validators agree on.

    python examples/key_value.py --validators 4
    curl 'localhost:26657/broadcast_tx_commit?tx="colour=blue"'     # to the first of them
    curl 'localhost:26663/abci_query?data="colour"'                 # from the fourth

Transactions are `key=value`, and `key=` removes a key. What it is made of, and what else it could do:
docs/your-own-chain.md.
"""

from consensus.node.application import MapApplication, State
from consensus.node.errors import TransactionRefused
from consensus.node.program import run

KEY_BYTES_MAX, VALUE_BYTES_MAX = 256, 4_096  # every node keeps every value: say what one may cost


class KeyValue(MapApplication):
    def check(self, tx: bytes, state: State) -> None:
        key, equals, value = tx.partition(b"=")
        if not equals or not 0 < len(key) <= KEY_BYTES_MAX or len(value) > VALUE_BYTES_MAX:
            raise TransactionRefused(f"expected key=value, of {KEY_BYTES_MAX} and {VALUE_BYTES_MAX} bytes at most")

    def execute(self, tx: bytes, state: State) -> bytes:
        self.check(tx, state)  # a proposer may put anything into its block
        key, _, value = tx.partition(b"=")
        before = state.get(key) or b""
        if value:
            state[key] = value
        else:
            del state[key]
        return before


if __name__ == "__main__":
    run(KeyValue)
