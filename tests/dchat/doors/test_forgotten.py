"""What doors tell of a forgotten message, at any height, and what a client takes as proved of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.chat.messages.records import STATES
from chain.tx.codec import height_bytes
from chain.tx.messages import CreateChannel, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.chat import RetractMessage
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Trust, Verifier
from dchat.client.wallet import Session
from dchat.home.home import Home, load_genesis
from proto.dchat.v1 import messages_pb2
from tests.support.node.running import running_node

SECRET = b"to be forgotten"
LOBBY = channel_id("lobby")


async def test_a_forgotten_message_is_told_and_proved_without_its_body(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        alice = running.account("alice")
        session = Session(client, alice.wallet)
        await session.send([RegisterIdentity(alice.address, "alice", ""), CreateChannel(alice.address, "lobby", 0, "")])
        posts = [PostMessage(alice.address, LOBBY, text, 0) for text in (b"before", SECRET, b"after")]
        await session.send(posts)
        then = await client.provable_height()
        home = Home.of(running.network.home_of(running.network.nodes[0]))
        trust = Trust.of_genesis(load_genesis(home))
        proved = Proved(Verifier(client, trust, chain_id=running.network.chain_id))
        assert (await client.message(LOBBY, 1, height=then)).message.content == SECRET
        await session.send([RetractMessage(alice.address, LOBBY, 1)])
        now = await client.provable_height()

        for height in (then, now):
            plain = await client.message(LOBBY, 1, height=height)
            assert (plain.message.content, plain.message.author) == (b"", alice.address)
            told = await client.message(LOBBY, 1, height=height, prove=True)
            assert "its body is not told" in (await proved.message(told, LOBBY, 1)).what
            for index in (0, 2):
                await proved.message(await client.message(LOBBY, index, height=height, prove=True), LOBBY, index)
            many = await client.messages(LOBBY, from_index=0, limit=10, height=height, prove=True)
            assert "3 of 3 messages" in (await proved.messages(many, LOBBY, 0)).what

            told.message.content = b"what a liar would like it to have been"
            with pytest.raises(ProofFailed, match="with more than is proved"):
                await proved.message(told, LOBBY, 1)
            told.message.ClearField("content")
            told.message.leaf_hash = bytes(32)
            with pytest.raises(ProofFailed, match="expected peak"):
                await proved.message(told, LOBBY, 1)

        name = LOBBY + height_bytes(1)
        state = await client.record(STATES, name, height=now, prove=True)
        await proved.record(state, STATES, name)
        found = messages_pb2.MessageState.FromString(state.value)
        assert (found.forgotten, found.by) == (messages_pb2.FORGOTTEN_RETRACTED, alice.address)
