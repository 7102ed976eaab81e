"""`dchat export-user-data`: all that a node has of somebody, in one file, for who asks what is kept of him."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import click

from chain.tx.envelope.tx import decode
from crypto.bech32 import encode_address
from dchat.cli.commands.status_commands import get_json, own_url
from dchat.cli.terminal.ask import Address, node_option, run
from dchat.cli.terminal.base import Command, Exit, Refusal, echo_progress, own_node, show_json
from dchat.client.client import Client, quoted
from dchat.doors.rest.json_form import text_of

PAGE: Final = 100
PAGES_MAX: Final = 10_000  # of one list: a million things of one account


class List(NamedTuple):
    """A path that answers in pages. param: which names whose it is; empty: the path does. last: the field of a page's
    last row behind which the next one begins; empty: the answer's own `next` says. more: whether there is a next."""

    path: str
    param: str = ""
    last: str = ""
    more: bool = True


# What is one thing, by its path; absent is null.
RECORDS: Final = {
    "account": "/v1/accounts/{a}", "pending": "/v1/accounts/{a}/pending",
    "allowance_lock": "/v1/accounts/{a}/allowance-lock",
    "identity": "/v1/identities/{a}", "profile": "/v1/identities/{a}/profile", "devices": "/v1/identities/{a}/devices",
    "prekeys": "/v1/identities/{a}/prekeys", "reputation": "/v1/identities/{a}/reputation",
    "score": "/v1/identities/{a}/score", "allowance": "/v1/identities/{a}/allowance", "guardians": "/v1/guardians/{a}",
    "recovery": "/v1/recoveries/{a}", "rewards": "/v1/rewards/{a}", "validator": "/v1/validators/{a}",
}  # fmt: skip
LISTS: Final = {
    "holdings": List("/v1/accounts/{a}/holdings"), "memberships": List("/v1/identities/{a}/memberships"),
    "delegations": List("/v1/delegations", "delegator", last="operator"),
    "unbondings": List("/v1/unbondings", "delegator", last="operator"),
    "redelegations": List("/v1/redelegations", "delegator", more=False),
    "slashes": List("/v1/validators/{a}/slashes", more=False), "denominations": List("/v1/denominations", "creator"),
    "escrows": List("/v1/escrows", "party", last="id"), "receipts": List("/v1/receipts", "party"),
    "requests_to_be_paid": List("/v1/payment-requests", "payee"),
    "requests_to_pay": List("/v1/payment-requests", "payer"),
    "standing_orders": List("/v1/standing-orders", "owner"),
    "standing_orders_to": List("/v1/standing-orders", "recipient"),
    "fee_grants": List("/v1/fee-grants", "granter"), "fee_grants_to": List("/v1/fee-grants", "grantee"),
    "authorisations": List("/v1/authorisations", "granter"), "authorisations_to": List("/v1/authorisations", "grantee"),
    "vestings_to": List("/v1/vestings", "recipient"), "vestings": List("/v1/vestings", "funder"),
}  # fmt: skip


@click.command("export-user-data", cls=Command)
@click.argument("identity", type=Address())
@click.option(
    "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write, 0600."
)
@click.option(
    "--url",
    help="A node's HTTP door, like http://127.0.0.1:8080; --node is asked for blocks. Default: the home's own node.",
)
@node_option
@click.option(
    "--from-height", type=click.IntRange(min=1), help="Transactions from there on. Default: all that are kept."
)
def export_user_data(identity: bytes, output: Path, url: str | None, node: str | None, from_height: int | None) -> None:
    """Write all that a node has of IDENTITY (dchat1... or a file) into one JSON file.

    Its records of both chains, and each transaction that it signed or in which it occurs, with what that says.

    Blocks that were pruned are not in it, and said so; an archive has all. What is encrypted stays so.
    """
    door = Door((url or own_url(own_node())).rstrip("/"))
    address = identity.hex()
    told: dict[str, Any] = {"address": encode_address(identity), "hex": address}
    status = door.ask("/v1/status")
    told["chain_id"], told["height"] = status["chain_id"], status["latest_block_height"]
    told["records"] = {name: door.record(path.format(a=address)) for name, path in RECORDS.items()}
    told["lists"] = {name: door.all_of(name, one, address) for name, one in LISTS.items()}
    told["lists_cut"] = door.cut
    base = max(int(status["earliest_block_height"]), from_height or 1)
    told["transactions_from_height"] = str(base)
    told["transactions"] = run(lambda client: transactions(client, identity, base, int(told["height"])), node)
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    try:
        with open(output, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)
    except FileExistsError:
        raise Refusal(f"{output} exists: it is not overwritten") from None
    except OSError as error:
        raise Refusal(f"{output}: cannot be written: {error.strerror}") from None
    things = sum(len(rows) for rows in told["lists"].values())
    show_json(
        {
            "file": str(output), "height": told["height"], "things": things, "transactions": len(told["transactions"]),
            "transactions_from_height": told["transactions_from_height"], "lists_cut": door.cut,
        }
    )  # fmt: skip


class Door:
    """A node's HTTP door."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.cut: list[str] = []  # lists of which a node tells no more than one page, and that filled it

    def ask(self, path: str, **params: str | int) -> dict[str, Any]:
        """Raises Refusal."""
        answer = self._get(path, params)
        if answer is None:
            raise Refusal(f"{self._url}{path} is not there: it is no node of this kind, or of an older build")
        return answer

    def record(self, path: str) -> dict[str, Any] | None:
        """None: there is none. Raises Refusal."""
        return self._get(path, {})

    def all_of(self, name: str, one: List, address: str) -> list[Any]:
        """Every row of all pages; `cut` has the name of a list that may have more. Raises Refusal."""
        rows: list[Any] = []
        params: dict[str, str | int] = {"limit": PAGE}
        if one.param:
            params[one.param] = address
        for _ in range(PAGES_MAX):
            answer = self._get(one.path.format(a=address), params) or {}
            page: list[Any] = next((value for value in answer.values() if isinstance(value, list)), [])
            rows += page
            if not one.more and len(page) >= PAGE:
                self.cut.append(name)
            after = _after(answer, page, one)
            if after in ("", str(params.get("after"))):
                return rows
            params["after"] = after
        raise Refusal(f"{name}: more than {PAGES_MAX * PAGE} rows; that is more than this command takes")

    def _get(self, path: str, params: dict[str, str | int]) -> dict[str, Any] | None:
        status, answer = get_json(f"{self._url}{path}" + (f"?{urlencode(params)}" if params else ""))
        if status == 404:
            return None
        if status != 200 or not isinstance(answer, dict):
            why = answer.get("error", status) if isinstance(answer, dict) else status
            raise Refusal(f"{self._url}{path}: {quoted(str(why))}", Exit.FAILED)
        return answer


def _after(answer: dict[str, Any], page: list[Any], one: List) -> str:
    """Where the next page begins; empty: there is none."""
    if not one.last or not one.more:
        return str(answer.get("next") or "") if one.more else ""
    last = page[-1] if len(page) >= PAGE else None
    return str(last.get(one.last) or "") if isinstance(last, dict) else ""


async def transactions(client: Client, identity: bytes, base: int, top: int) -> list[dict[str, Any]]:
    """Those that it signed or in which it occurs, oldest first, of the blocks that have any. Raises ClientError."""
    found: list[dict[str, Any]] = []
    for first in range(base, top + 1, PAGE):
        last = min(first + PAGE - 1, top)
        echo_progress(f"blocks {first} to {last} of {top}")
        page = await client.blocks(max_height=last, limit=last - first + 1)
        for height in sorted(meta.header.height for meta in page.blocks if meta.num_txs):
            answer = await client.block(height)
            ours = [index for index, raw in enumerate(answer.block.data.txs) if concerns(raw, identity)]
            if ours:
                said = json.loads(text_of(answer, decoded=True))["block"]["data"]["txs"]
                found += [{"height": str(height), "index": index, "tx": said[index]} for index in ours]
    return found


def concerns(raw: bytes, identity: bytes) -> bool:
    """Whether it signed this transaction, or is named in it."""
    return identity in raw or identity in [signer.address for signer in decode(raw).signers]
