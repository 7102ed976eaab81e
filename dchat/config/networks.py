"""Addresses and networks, as options name them: `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator


def comma_separated(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def networks(said: list[str]) -> list[str]:
    """Raises ValueError."""
    for one in said:
        try:
            ipaddress.ip_network(one, strict=False)
        except ValueError:
            raise ValueError(f"{one!r} is no IP address and no network; allowed: like 10.0.0.5, 10.0.0.0/8") from None
    return said


_MULTIADDRESS = re.compile(r"/ip([46])/([^/]+)(/.*)", re.DOTALL)


def names_as_dns(said: list[str]) -> list[str]:
    """`/ip4/validator1.example.org/tcp/...`, as the operators' guide writes it, is what `/dns4/...` says."""
    return [_as_dns(one) for one in said]


def _as_dns(text: str) -> str:
    found = _MULTIADDRESS.fullmatch(text)
    if found is None:
        return text
    try:
        ipaddress.ip_address(found[2])
    except ValueError:
        if any(char.isalpha() for char in found[2]) and ":" not in found[2]:
            return f"/dns{found[1]}/{found[2]}{found[3]}"
    return text


Networks: TypeAlias = Annotated[list[str], BeforeValidator(comma_separated), AfterValidator(networks)]
PeerAddresses: TypeAlias = Annotated[list[str], BeforeValidator(comma_separated), AfterValidator(names_as_dns)]
