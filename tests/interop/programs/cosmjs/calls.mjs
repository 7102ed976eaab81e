// Every call that CosmJS's Comet38Client offers, made once; what it was told is printed as one line of JSON.
//
//   node calls.mjs http://HOST:PORT < ASKED      over ws:// the subscriptions too, which HTTP has not
//
// ASKED is JSON: key (hex, of a record of the currency store), paid (hex, a committed transaction's id), query (of
// transactions), paidAt (its height), txs ([sync, async, commit], base64). Bytes are printed as hex, big integers as
// text.
import { readFileSync } from "node:fs";
import { Comet38Client, comet38, connectComet } from "@cosmjs/tendermint-rpc";

const endpoint = process.argv[2];
const asked = JSON.parse(readFileSync(0, "utf8"));
const hex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const txs = asked.txs.map((text) => Uint8Array.from(Buffer.from(text, "base64")));

function plain(value) {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
  return value ?? null;
}

function heard(stream, isDone) {
  return new Promise((resolve, reject) => {
    const events = [];
    const subscription = stream.subscribe({
      next: (event) => {
        events.push(event);
        if (isDone(events)) {
          resolve(events);
          subscription.unsubscribe();
        }
      },
      error: (why) => reject(new Error(String(why))),
    });
  });
}

const told = {};
const client = await connectComet(endpoint); // as wallets connect: it reads the version, and chooses
told.chosen = client instanceof Comet38Client;
const isSame = (event) => txs.some((tx) => Buffer.compare(tx, event.tx) === 0);
const streams = {};
if (endpoint.startsWith("ws")) {
  streams.subscribeNewBlock = heard(client.subscribeNewBlock(), (all) => all.some((block) => block.txs.length > 0));
  streams.subscribeNewBlockHeader = heard(client.subscribeNewBlockHeader(), (all) => all.length === 2);
  streams.subscribeTx = heard(client.subscribeTx(), (all) => all.filter(isSame).length === txs.length);
  streams.subscribeTxQuery = heard(client.subscribeTx(asked.query), (all) => all.filter(isSame).length === txs.length);
  await client.status(); // answered behind the four subscriptions: from here on nothing is missed
}

const params = { query: asked.query };
const blocks = { query: `block.height >= ${asked.paidAt} AND block.height <= ${asked.paidAt + 3}` };
const calls = {
  broadcastTxSync: () => client.broadcastTxSync({ tx: txs[0] }),
  broadcastTxAsync: () => client.broadcastTxAsync({ tx: txs[1] }),
  broadcastTxCommit: () => client.broadcastTxCommit({ tx: txs[2] }),
  abciInfo: () => client.abciInfo(),
  abciQuery: () => client.abciQuery({ path: "/store/currency/key", data: hex(asked.key), prove: true }),
  abciQueryPlain: () => client.abciQuery({ path: "/store/currency/key", data: hex(asked.key), height: asked.paidAt }),
  block: () => client.block(asked.paidAt),
  blockLatest: () => client.block(),
  blockResults: () => client.blockResults(asked.paidAt),
  blockSearch: () => client.blockSearch({ ...blocks, page: 2, per_page: 2, order_by: "asc" }),
  blockSearchAll: () => client.blockSearchAll({ ...blocks, per_page: 3 }),
  blockchain: () => client.blockchain(2, asked.paidAt),
  commit: () => client.commit(asked.paidAt),
  genesis: () => client.genesis(),
  health: () => client.health(),
  numUnconfirmedTxs: () => client.numUnconfirmedTxs(),
  status: () => client.status(),
  tx: () => client.tx({ hash: hex(asked.paid), prove: true }),
  txSearch: () => client.txSearch({ ...params, prove: true, page: 1, per_page: 1, order_by: "asc" }),
  txSearchAll: () => client.txSearchAll({ ...params, per_page: 2 }),
  validators: () => client.validators({ height: asked.paidAt, page: 1, per_page: 1 }),
  validatorsAll: () => client.validatorsAll(asked.paidAt),
};
const answers = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    answers[name] = await call();
    told[name] = plain(answers[name]);
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  }
}
told.isSuccess = [
  comet38.broadcastTxSyncSuccess(answers.broadcastTxSync),
  comet38.broadcastTxCommitSuccess(answers.broadcastTxCommit),
];
for (const [name, events] of Object.entries(streams)) told[name] = plain(await events);

told.refused = {};
const refusals = {
  "a height to come": () => client.block(1_000_000_000),
  "a transaction that is not there": () => client.tx({ hash: new Uint8Array(32) }),
  "a page that is not there": () => client.txSearch({ ...params, page: 1000 }),
  "half a query": () => client.txSearch({ query: "transfer.amount" }),
};
for (const [name, call] of Object.entries(refusals))
  told.refused[name] = await call().then(() => "answered", (error) => error.message);
client.disconnect();

const made = new Set([...Object.keys(calls), ...Object.keys(streams)]);
const offered = Object.getOwnPropertyNames(Comet38Client.prototype);
const internal = new Set(["constructor", "disconnect", "doCall", "subscribe"]);
told.left = offered.filter((name) => !made.has(name) && !internal.has(name));
console.log(JSON.stringify(told));
process.exit(0); // over WebSocket it connects again by itself once it was told to disconnect, and would never end
