-- What a chain did, in tables. Written by one node (or by `dchat database sql`), read by anybody.
-- The names of tables stand without a schema: they go into the one that [sql] schema_name names.
-- docs/sql.md explains; a later version of this file is schema_2.sql, which goes from here on.

CREATE TABLE schema_versions (
    version        integer     PRIMARY KEY,
    applied_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_versions IS 'Which schema_N.sql were carried out; a build that knows fewer refuses to write';

CREATE TABLE chain (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    chain_id       text        NOT NULL,
    genesis_hash   text        NOT NULL,
    first_height   bigint      NOT NULL,
    height         bigint      NOT NULL CHECK (height >= first_height - 1),
    cursor         text        NOT NULL GENERATED ALWAYS AS (height::text || ':4294967295') STORED,
    block_hash     text        NOT NULL,
    app_hash       text        NOT NULL,
    written_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE chain IS 'One row, with the first block: which chain this is, and how far it is written. It changes in the same transaction as the blocks';
COMMENT ON COLUMN chain.genesis_hash IS 'SHA-256 of the genesis document, in hex: a node of another chain is refused';
COMMENT ON COLUMN chain.first_height IS 'The lowest block here; from it to `height` no block is missing';
COMMENT ON COLUMN chain.height IS 'The last block here';
COMMENT ON COLUMN chain.cursor IS 'Of the last event here, HEIGHT:INDEX as in docs/events.md: what follows it is not here yet';
COMMENT ON COLUMN chain.block_hash IS 'Of the last block, in hex: the next one must name it';
COMMENT ON COLUMN chain.app_hash IS 'Of the state after the last block, in hex: the next header must have it';

CREATE TABLE blocks (
    height         bigint      PRIMARY KEY,
    hash           text        NOT NULL UNIQUE,
    time           timestamptz NOT NULL,
    time_ns        bigint      NOT NULL,
    proposer       text        NOT NULL,
    transactions   integer     NOT NULL,
    events         integer     NOT NULL,
    evidence       integer     NOT NULL,
    bytes          bigint      NOT NULL,
    app_hash       text        NOT NULL
);
COMMENT ON TABLE blocks IS 'One row a block, without a gap from chain.first_height to chain.height';
COMMENT ON COLUMN blocks.hash IS 'In hex, as every hash here';
COMMENT ON COLUMN blocks.time IS 'The time in the header, cut to microseconds; exactly: time_ns, since 1970';
COMMENT ON COLUMN blocks.proposer IS 'Consensus address of the validator that proposed it, in hex';
COMMENT ON COLUMN blocks.transactions IS 'How many rows it has in transactions';
COMMENT ON COLUMN blocks.events IS 'How many rows it has in events';
COMMENT ON COLUMN blocks.evidence IS 'How many pieces of evidence it has';
COMMENT ON COLUMN blocks.bytes IS 'Of the encoded block';
COMMENT ON COLUMN blocks.app_hash IS 'Of the state after this block: the next header has it';
CREATE INDEX blocks_by_time ON blocks (time);

CREATE TABLE transactions (
    height         bigint      NOT NULL,
    tx_index       integer     NOT NULL,
    hash           text        NOT NULL,
    lane           text        NOT NULL,
    sender         text,
    fee_udchat     numeric     NOT NULL,
    gas_limit      bigint      NOT NULL,
    gas_used       bigint      NOT NULL,
    code           integer     NOT NULL,
    codespace      text        NOT NULL,
    log            text        NOT NULL,
    memo           text        NOT NULL,
    messages       integer     NOT NULL,
    bytes          integer     NOT NULL,
    receipt        jsonb,
    PRIMARY KEY (height, tx_index)
);
COMMENT ON TABLE transactions IS 'One row a transaction of a block, also of those that failed';
COMMENT ON COLUMN transactions.tx_index IS 'Its place in the block, from 0';
COMMENT ON COLUMN transactions.hash IS 'SHA-256 of its bytes, in hex: what dchat query tx takes';
COMMENT ON COLUMN transactions.lane IS 'chat, currency or bridge';
COMMENT ON COLUMN transactions.sender IS 'Account that pays the fee or whose allowance pays, dchat1...';
COMMENT ON COLUMN transactions.fee_udchat IS 'What it offers, in udchat (1 DCHAT = 1,000,000 udchat); what was paid stands in the receipt';
COMMENT ON COLUMN transactions.code IS '0: it did what it says; else an error of the codespace, docs/errors.md';
COMMENT ON COLUMN transactions.messages IS 'How many rows it has in messages';
COMMENT ON COLUMN transactions.receipt IS 'What it did, leg by leg, as dchat query tx shows it. Amounts in udchat or units';
CREATE INDEX transactions_by_hash ON transactions (hash);
CREATE INDEX transactions_by_sender ON transactions (sender, height);

CREATE TABLE messages (
    height         bigint      NOT NULL,
    tx_index       integer     NOT NULL,
    message_index  integer     NOT NULL,
    kind           text        NOT NULL,
    body           jsonb       NOT NULL,
    PRIMARY KEY (height, tx_index, message_index)
);
COMMENT ON TABLE messages IS 'What a transaction asks for, message by message; whether it was done, transactions.code says';
COMMENT ON COLUMN messages.kind IS 'Its name in proto/dchat/v1/tx.proto, like payment or post_message';
COMMENT ON COLUMN messages.body IS 'Its fields by their names in the schema; amounts in udchat or units of the denomination that it names';
CREATE INDEX messages_by_kind ON messages (kind, height);

CREATE TABLE events (
    height         bigint      NOT NULL,
    event_index    integer     NOT NULL,
    tx_index       integer,
    type           text        NOT NULL,
    attributes     jsonb       NOT NULL,
    PRIMARY KEY (height, event_index)
);
COMMENT ON TABLE events IS 'What a block did, in the order of the chain: docs/events.md';
COMMENT ON COLUMN events.event_index IS 'From 0 through the block: height and event_index are the cursor of an event';
COMMENT ON COLUMN events.tx_index IS 'Of the transaction that emitted it; null: the begin or the end of the block';
COMMENT ON COLUMN events.attributes IS 'Key to value, all text; amounts carry their unit, like 12udchat. A key that comes twice has a list';
CREATE INDEX events_by_type ON events (type, height);

CREATE TABLE event_attributes (
    height         bigint      NOT NULL,
    event_index    integer     NOT NULL,
    place          integer     NOT NULL,
    key            text        NOT NULL,
    value          text        NOT NULL,
    PRIMARY KEY (height, event_index, place)
);
COMMENT ON TABLE event_attributes IS 'Attributes of events row by row, to find events by them; values of up to 256 characters';
COMMENT ON COLUMN event_attributes.place IS 'From 0 through the attributes of the event';
CREATE INDEX event_attributes_by_value ON event_attributes (value, key, height);

CREATE VIEW payments AS
    SELECT e.height, e.event_index, b.time, t.hash AS tx_hash,
           e.attributes ->> 'sender' AS sender,
           e.attributes ->> 'recipient' AS recipient,
           substring(e.attributes ->> 'amount' FROM '^([0-9]+)udchat$')::numeric AS amount_udchat
    FROM events e
    JOIN blocks b ON b.height = e.height
    LEFT JOIN transactions t ON t.height = e.height AND t.tx_index = e.tx_index
    WHERE e.type = 'transfer';
COMMENT ON VIEW payments IS 'Every time that udchat went from one account to another, by a payment or by the chain itself';
COMMENT ON COLUMN payments.tx_hash IS 'Null: no transaction did it, but the begin or the end of a block';
COMMENT ON COLUMN payments.amount_udchat IS 'In udchat: 1 DCHAT = 1,000,000 udchat';

CREATE VIEW days AS
    SELECT date_trunc('day', b.time AT TIME ZONE 'UTC')::date AS day,
           count(*) AS blocks, sum(b.transactions) AS transactions, sum(b.events) AS events,
           sum(b.bytes) AS bytes, min(b.height) AS first_height, max(b.height) AS last_height
    FROM blocks b
    GROUP BY 1;
COMMENT ON VIEW days IS 'What each day brought, by UTC';
