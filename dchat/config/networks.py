"""Addresses and networks, as options name them: `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`."""

from __future__ import annotations

import ipaddress
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


Networks: TypeAlias = Annotated[list[str], BeforeValidator(comma_separated), AfterValidator(networks)]
