"""A node's gRPC door as a provider of light blocks (`light.provider.Provider`)."""

from __future__ import annotations

import re
from typing import Final

from consensus.formats.errors import InvalidData
from consensus.types.evidence import Evidence
from consensus.types.light import LightBlock
from dchat.client.client import Client, ClientError, NodeUnreachable, NotFound
from light.errors import BadAnswer, HeightTooHigh, NoAnswer, NoBlock, ProviderFailed

_HAS: Final = re.compile(r"(?:this node has \d{1,19} to|the latest is) (\d{1,19})", re.ASCII)


class DoorProvider:
    """Every failure carries the client's as its cause."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def name(self) -> str:
        return self.client.address

    async def light_block(self, height: int) -> LightBlock:
        try:
            answer = await self.client.commit(height)
            return LightBlock.from_proto(answer.light_block)
        except NotFound as error:
            latest = _HAS.search(str(error))
            kind = HeightTooHigh if latest is not None and int(latest[1]) < height else NoBlock
            raise kind(self.name, error) from error
        except ClientError as error:
            raise NoAnswer(self.name, str(error).removeprefix(f"{self.name} ")) from error
        except InvalidData as error:
            raise BadAnswer(self.name, error) from error

    async def report(self, evidence: Evidence) -> None:
        try:
            await self.client.broadcast_evidence(evidence.encode_wrapped())
        except NodeUnreachable as error:
            raise NoAnswer(self.name, error) from error
        except ClientError as error:
            raise ProviderFailed(self.name, error) from error
