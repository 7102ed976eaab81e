"""What an option is: its default, its meaning, its bounds, and the units that values are written in."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from consensus.formats.chain_ids import chain_id_flaw
from dchat.config.networks import comma_separated
from dchat.config.units import MEGABYTES_MAX, duration_ms, duration_s, megabytes

FORMS: Final = {  # what a pattern allows, for people
    r"^([0-9a-fA-F]{64}|[0-9a-fA-F]{3904})?$": "64 hex characters (ML-DSA-65: 3904), or empty",
    r"^([0-9a-f]{40})?$": "40 characters of 0-9 and a-f, or empty",
    r"^[a-z0-9-]{0,40}$": "at most 40 of a-z, 0-9 and -, like eu-central-1",
    r"^(https?://.*)?$": "https://HOST, or empty",
    r"^[a-z_][a-z0-9_]{0,62}$": "1 to 63 of a-z, 0-9 and _, no digit first",
    r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$": "3 to 63 of a-z, 0-9, . and -, or empty",
    r"^(https?://[A-Za-z0-9.:\[\]-]+(/[\w./-]*)?)?$": "https://HOST[:PORT][/PATH], or empty",
    r"^([\w./-]{0,200}/)?$": "at most 200 letters, digits and . _ / -, with / at the end, or empty",
}
TIMEOUT_MS_MAX = 3_600_000  # an hour: more is a unit mistaken


def chain_id(value: str) -> str:
    if value and (flaw := chain_id_flaw(value)):
        raise ValueError(flaw)
    return value


Milliseconds: TypeAlias = Annotated[int, BeforeValidator(duration_ms), Field(ge=0, le=TIMEOUT_MS_MAX)]
Seconds: TypeAlias = Annotated[int, BeforeValidator(duration_s), Field(ge=0)]
Megabytes: TypeAlias = Annotated[int, BeforeValidator(megabytes), Field(ge=1, le=MEGABYTES_MAX)]
Port: TypeAlias = Annotated[int, Field(ge=0, le=65_535)]
ChainId: TypeAlias = Annotated[str, AfterValidator(chain_id)]
Addresses: TypeAlias = Annotated[list[str], BeforeValidator(comma_separated)]


def option(
    default: Any, description: str, *, env: str = "", scope: str = "node", is_secret: bool = False, **limits: Any
) -> Any:
    """A field. env: its short environment name. scope: node; genesis (a new chain's); none (accepted, no effect).
    is_secret: no text says its value."""
    extra: dict[str, Any] = {"env": env, "scope": scope, "is_secret": is_secret}
    assert limits.get("pattern", "") in {"", *FORMS}, (description, "a pattern has words in FORMS")
    return Field(default=default, description=description, json_schema_extra=extra, repr=not is_secret, **limits)


class Section(BaseModel):
    """One table of the file. Unknown keys are errors (dchat.config.sources says which key is meant)."""

    model_config = ConfigDict(extra="forbid", validate_default=True, validate_assignment=True)
