// A client of dchat in one file, for Node.js 18 and later, with nothing to install: gRPC by hand over HTTP/2, protobuf by
// hand, Ed25519 and SHA-256 of Node. Written from docs/wire-format.md, whose words it uses.
//
//   node client.mjs address SEED
//   node client.mjs pay SEED TO UDCHAT
//   node client.mjs open SEED NAME CHANNEL            a bundle: register an identity and open a channel, both or neither
//   node client.mjs post SEED CHANNEL TEXT
//   node client.mjs prove-account ADDRESS --trust HEIGHT:HASH
//   node client.mjs prove-message CHANNEL INDEX --trust HEIGHT:HASH
//
// HEIGHT is of a block that you believe in: 2 or more (it proves the state before it, which block 1 has none of), and no
// older than what the node keeps.
// Options: --node HOST:PORT (127.0.0.1:26670), --chain-id ID (else the node is believed in it: your own node), --memo TEXT.
// SEED is 32 bytes in hex (keep it in a variable, not in your history). What it prints is one line of JSON; exit code 1:
// refused, failed, or not proved.

import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { connect } from "node:http2";

const LANES = { chat: 1, currency: 2, bridge: 3 };
const GAS = { transaction: 5_000, byte: 10, signature: 6_000, mark: 2_000, receipt: 20_000, newRecord: 5_000 };
const EXPIRY_BLOCKS = 200n; // within every chain's bound of unordered ones, and soon over for those that got lost
const FEE_MAX = 1_000_000n; // udchat: whatever a node says of the price of gas
const SUBMIT_MS = 120_000;
const TRUSTED = "of a block that you believe in: block 2 or a later one, no older than what the node keeps";
const TRY_LATER = new Set([2, 3, 4, 10, 14]); // of codespace mempool

const H = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const hex = (text) => Buffer.from(text, "hex");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
class Refused extends Error {}

// ------------------------------------------------------------------------------------------------ protobuf

function varint(number) {
  const out = [];
  let left = BigInt(number);
  for (; left > 0x7fn; left >>= 7n) out.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...out, Number(left)]);
}

/** A field that is always written: a sub-message, or one element of a repeated field. */
const sub = (number, content) => Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);

/** A field of a number, a boolean, text or bytes; a default is left out. */
function field(number, value) {
  if (typeof value === "string") value = Buffer.from(value, "utf8");
  if (Buffer.isBuffer(value)) return value.length ? sub(number, value) : Buffer.alloc(0);
  return BigInt(value) ? Buffer.concat([varint(number << 3), varint(value)]) : Buffer.alloc(0);
}

const message = (...fields) => Buffer.concat(fields);

/** Field number -> its values, as they came: numbers as BigInt, all else as bytes. */
function read(data) {
  const found = {};
  let at = 0;
  const number = () => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      if (at >= data.length || shift > 63n) throw new Error("an answer that is no protobuf");
      const byte = data[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const key = Number(number());
    let value;
    if ((key & 7) === 0) value = number();
    else {
      const size = (key & 7) === 2 ? Number(number()) : (key & 7) === 1 ? 8 : (key & 7) === 5 ? 4 : NaN;
      if (!(at + size <= data.length)) throw new Error("an answer that is no protobuf");
      value = data.subarray(at, (at += size));
    }
    (found[key >> 3] ??= []).push(value);
  }
  return found;
}

const bytesOf = (fields, number) => fields[number]?.at(-1) ?? Buffer.alloc(0);
const textOf = (fields, number) => bytesOf(fields, number).toString("utf8");
const numberOf = (fields, number) => fields[number]?.at(-1) ?? 0n;

// ------------------------------------------------------------------------------------------------ gRPC

/** One unary call. Throws an Error with `status`, gRPC's number. */
function call(session, method, request) {
  return new Promise((done, failed) => {
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(request.length, 1);
    const stream = session.request({
      ":method": "POST", ":path": `/dchat.v1.${method}`, "content-type": "application/grpc", te: "trailers",
    });
    const chunks = [];
    let status = {};
    const told = (headers) => { if ("grpc-status" in headers) status = headers; };
    stream.on("response", told);
    stream.on("trailers", told);
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("error", (error) => failed(Object.assign(error, { status: 14 })));
    stream.on("end", () => {
      const code = Number(status["grpc-status"] ?? 2);
      const reason = decodeURIComponent(status["grpc-message"] ?? "");
      if (code) failed(Object.assign(new Error(`${method}: status ${code}: ${reason}`), { status: code }));
      else done(Buffer.concat(chunks).subarray(5)); // one answer, not compressed: none was asked for
    });
    stream.setTimeout(40_000, () => stream.close());
    stream.end(Buffer.concat([frame, request]));
  });
}

// ------------------------------------------------------------------------------------------------ accounts

function walletOf(seed) {
  if (!/^[0-9a-fA-F]{64}$/.test(seed ?? "")) throw new Error("a seed is 32 bytes in hex");
  const key = createPrivateKey({
    key: Buffer.concat([hex("302e020100300506032b657004220420"), hex(seed)]), format: "der", type: "pkcs8",
  });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const policy = field(1, publicKey);
  const address = H(Buffer.from("dchat/address"), policy).subarray(0, 20);
  return { publicKey, policy, address, sign: (digest) => sign(null, digest, key) };
}

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"; // bech32, BIP-173
const PREFIX = [3, 3, 3, 3, 3, 0, ...[..."dchat"].map((char) => char.charCodeAt(0) & 31)];

function checksum(values) {
  const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  return values.reduce((check, value) => {
    const top = check >>> 25;
    return generator.reduce((sum, part, bit) => ((top >>> bit) & 1 ? sum ^ part : sum), ((check & 0x1ffffff) << 5) ^ value);
  }, 1);
}

function regroup(values, from, to) {
  const bits = values.map((value) => value.toString(2).padStart(from, "0")).join("");
  return bits.match(new RegExp(`.{${to}}`, "g")).map((group) => parseInt(group, 2));
}

function textOfAddress(address) {
  const data = regroup([...address], 8, 5); // 160 bits are 32 groups
  const check = checksum([...PREFIX, ...data, 0, 0, 0, 0, 0, 0]) ^ 1;
  const tail = [5, 4, 3, 2, 1, 0].map((place) => (check >>> (5 * place)) & 31);
  return "dchat1" + [...data, ...tail].map((value) => ALPHABET[value]).join("");
}

function addressOf(text) {
  if (/^[0-9a-f]{40}$/.test(text ?? "")) return hex(text);
  const values = [...(text ?? "").slice(6)].map((char) => ALPHABET.indexOf(char));
  if (!text?.startsWith("dchat1") || values.length !== 38 || values.includes(-1) || checksum([...PREFIX, ...values]) !== 1) {
    throw new Error(`${text} is no address: dchat1..., or 20 bytes in hex`);
  }
  return Buffer.from(regroup(values.slice(0, 32), 5, 8));
}

const channelId = (name) => H(Buffer.from("dchat/channel" + name)).subarray(0, 20);

// ------------------------------------------------------------------------------------------------ messages

// Each: the encoded Message, and what it costs beside the rest.
const kinds = {
  payment: (sender, recipient, amount) =>
    [sub(1, message(field(1, sender), field(2, recipient), field(3, amount))), 3_000],
  createChannel: (creator, name, joinPrice, topic) =>
    [sub(16, message(field(1, creator), field(2, name), field(3, joinPrice), field(4, topic))), 33_000],
  postMessage: (author, channel, content, replyTo) =>
    [sub(18, message(field(1, author), field(2, channel), field(3, content), field(4, replyTo))), 5_000],
  registerIdentity: (address, name, display) =>
    [sub(32, message(field(1, address), field(2, name), field(3, display))), 60_000],
};

/** The envelope of one signer's transaction. sequence: undefined when it is unordered. */
function signed(wallet, { chainId, lane, messages, sequence, gasLimit, fee, expiryHeight, memo }) {
  const isOrdered = sequence !== undefined;
  const signer = message(
    field(1, wallet.address), sub(2, wallet.policy),
    field(3, isOrdered ? wallet.publicKey : ""), field(4, isOrdered ? sequence : 0),
  );
  const body = message(
    field(1, chainId), field(2, lane), ...messages.map(([encoded]) => sub(3, encoded)), sub(4, signer),
    // fee_payer: 0, the only signer
    field(6, gasLimit), field(7, fee), field(8, expiryHeight), field(9, isOrdered ? 0 : 1), field(10, memo),
  );
  const signature = wallet.sign(H(Buffer.from("dchat/tx/v1"), body));
  const envelope = message(field(1, body), sub(2, message(field(2, wallet.publicKey), field(3, signature))));
  return { envelope, id: H(envelope), replayId: H(body), expiryHeight };
}

/** needed: the gas that is known to be needed; without it what this file knows of the messages' prices. */
async function build(session, wallet, lane, messages, { chainId, memo, needed }) {
  const status = read(await call(session, "ChainService/GetStatus", Buffer.alloc(0)));
  const params = JSON.parse(textOf(read(await call(session, "StateService/GetParams", Buffer.alloc(0))), 2));
  const gasPrice = BigInt(params.currency.params.gas_price);
  const told = {
    chainId: chainId ?? textOf(status, 2), lane, messages, memo: memo ?? "",
    sequence: lane === LANES.bridge ? undefined : await nextSequence(session, wallet, lane),
    expiryHeight: numberOf(status, 7) + EXPIRY_BLOCKS,
  };
  const longest = signed(wallet, { ...told, gasLimit: 1n << 62n, fee: lane === LANES.chat ? 0n : 1n << 62n });
  const kept = lane === LANES.bridge ? GAS.mark + GAS.receipt : 0;
  const own = messages.reduce((sum, [, gas]) => sum + gas + GAS.newRecord, 0);
  const known = BigInt(GAS.transaction + GAS.byte * longest.envelope.length + GAS.signature + kept + own);
  const gasLimit = needed === undefined ? known : needed + BigInt(GAS.newRecord * messages.length);
  const fee = lane === LANES.chat ? 0n : (gasLimit * gasPrice + 999_999n) / 1_000_000n;
  if (fee > FEE_MAX) throw new Refused(`the fee would be ${fee} udchat; allowed: ${FEE_MAX}`);
  return signed(wallet, { ...told, gasLimit, fee });
}

/** The next sequence of the wallet's key on the lane's machine. */
async function nextSequence(session, wallet, lane) {
  const [method, place] = lane === LANES.chat ? ["GetIdentity", 5] : ["GetAccount", 4];
  const answer = read(await call(session, `StateService/${method}`, field(1, wallet.address)));
  const record = read(bytesOf(answer, 2));
  const mine = (record[place] ?? []).map(read).find((entry) => bytesOf(entry, 1).equals(wallet.publicKey));
  return mine ? numberOf(mine, 2) : 0n;
}

/** Hand in, the same bytes again while there is no answer, until a block has them or none will. */
async function submit(session, tx) {
  const until = Date.now() + SUBMIT_MS;
  for (let pause = 500; Date.now() < until; pause = Math.min(8_000, 2 * pause)) {
    try {
      const answer = read(await call(session, "TxService/Broadcast", message(field(1, tx.envelope), field(2, 1))));
      const told = outcomeOf(tx, answer, [2, 3, 4, 5, 7]);
      if (told.height) return told;
      if (told.code && !(told.codespace === "mempool" && TRY_LATER.has(told.code))) return await earlier(session, tx, told);
    } catch (error) {
      if (![4, 8, 14].includes(error.status)) throw error; // else: late, too much, away
    }
    await sleep(pause);
  }
  throw new Error(`no answer; ${tx.id.toString("hex")} may still be executed until block ${tx.expiryHeight}`);
}

/** Refused now: because an attempt before this one got through? */
async function earlier(session, tx, refusal) {
  try {
    return outcomeOf(tx, read(await call(session, "TxService/GetTx", field(1, tx.id))), [5, 6, 7, 2, 8]);
  } catch (error) {
    if (error.status !== 5) throw error;
    throw new Refused(`${refusal.codespace} ${refusal.code}: ${refusal.log}`);
  }
}

function outcomeOf(tx, answer, [code, codespace, log, height, data]) {
  const receipt = read(bytesOf(answer, data));
  const legs = (receipt[7] ?? []).map(read).map((leg) => ({ kind: textOf(leg, 1), index: Number(numberOf(leg, 4)) }));
  return {
    id: tx.id.toString("hex"), replay_id: tx.replayId.toString("hex"), envelope: tx.envelope.toString("hex"),
    code: Number(numberOf(answer, code)), codespace: textOf(answer, codespace), log: textOf(answer, log),
    height: Number(numberOf(answer, height)), fee_paid: Number(numberOf(receipt, 8)), legs,
  };
}

// ------------------------------------------------------------------------------------------------ proofs

function mustBe(is, what) {
  if (!is) throw new Refused(`not proved: ${what}`);
}

function merkleRoot(leaves) {
  if (leaves.length === 1) return H(Buffer.from([0]), leaves[0]);
  let split = 1;
  while (2 * split < leaves.length) split *= 2;
  return H(Buffer.from([1]), merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split)));
}

function headerHash(header) {
  const leaves = [
    bytesOf(header, 1), field(1, bytesOf(header, 2)), field(1, numberOf(header, 3)), bytesOf(header, 4), bytesOf(header, 5),
  ];
  for (let number = 6; number <= 14; number++) leaves.push(field(1, bytesOf(header, number)));
  return merkleRoot(leaves);
}

/** [key, value, the root that the path leads to] of a CommitmentProof of existence. */
function existence(data, leafOf, placeOf) {
  const proof = read(bytesOf(read(data), 1));
  const [key, value, path] = [bytesOf(proof, 1), bytesOf(proof, 2), proof[4] ?? []];
  mustBe(key.length && value.length, "the record is absent, or the proof is of another kind");
  let node = leafOf(key, value);
  path.map(read).forEach((inner, number) => {
    const [prefix, suffix] = [bytesOf(inner, 2), bytesOf(inner, 3)];
    const isRight = prefix.length === 33 && suffix.length === 0;
    mustBe(prefix[0] === 1 && (isRight || (prefix.length === 1 && suffix.length === 32)), "an inner node of another shape");
    mustBe(placeOf === undefined || placeOf(key, path.length - 1 - number) === isRight, "a leaf that is not in its place");
    node = H(prefix, node, suffix);
  });
  return [key, value, node];
}

/** The value that a StateProof shows under `key`, of the state before the trusted block. */
function provedValue(proof, trust, store, key) {
  const header = read(bytesOf(read(bytesOf(read(bytesOf(proof, 6)), 1)), 1));
  mustBe(headerHash(header).equals(trust.hash), `the header is not the trusted block ${trust.height}`);
  mustBe(Number(numberOf(header, 3)) === trust.height, "the trusted hash is of another height");
  const ops = (read(bytesOf(proof, 5))[1] ?? []).map((op) => bytesOf(read(op), 3));
  mustBe(ops.length === 2, "it needs two operations");
  const zero = Buffer.from([0]);
  const bit = (name, depth) => ((H(name)[depth >> 3] >> (7 - (depth & 7))) & 1) === 1;
  const [shownKey, value, root] = existence(ops[0], (name, content) => H(zero, H(name), H(content)), bit);
  const [name, storeRoot, appHash] = existence(
    ops[1], (text, content) => H(zero, varint(text.length), text, varint(32), H(content)), undefined,
  );
  mustBe(shownKey.equals(key), "it is of another key");
  mustBe(name.toString() === store && storeRoot.equals(root), "it is of another store");
  mustBe(appHash.equals(bytesOf(header, 11)), "it does not lead to the block's app hash");
  return value;
}

async function proveAccount(session, trust, address) {
  const request = message(field(1, address), field(2, trust.height - 1), field(3, 1));
  const answer = read(await call(session, "StateService/GetAccount", request));
  const key = Buffer.concat([Buffer.from("a"), address]);
  const account = read(provedValue(read(bytesOf(answer, 3)), trust, "currency", key));
  return { address: textOfAddress(address), balance: String(numberOf(account, 2)), after_block: trust.height - 1 };
}

async function proveMessage(session, trust, name, index) {
  const id = channelId(name);
  const request = message(field(1, id), field(2, index), field(3, trust.height - 1), field(4, 1));
  const answer = read(await call(session, "StateService/GetMessage", request));
  const key = Buffer.concat([Buffer.from("c"), id]);
  const channel = read(provedValue(read(bytesOf(answer, 4)), trust, "chat", key));
  const [count, peaks, place] = [numberOf(channel, 7), channel[8] ?? [], BigInt(index)];
  mustBe(place < count, `the channel has ${count} messages`);
  const told = bytesOf(answer, 2);
  const path = read(bytesOf(answer, 3))[3] ?? [];
  const tall = (place ^ count).toString(2).length - 1;
  mustBe(path.length === tall, "a path of another length");
  const node = path.reduce(
    (below, sibling, level) => H(Buffer.from([1]), ...((place >> BigInt(level)) & 1n ? [sibling, below] : [below, sibling])),
    H(Buffer.from([0]), told),
  );
  const peak = [...(count >> BigInt(tall + 1)).toString(2)].filter((digit) => digit === "1").length;
  mustBe(node.equals(peaks[peak] ?? Buffer.alloc(0)), "the path does not lead to the channel's peak");
  const post = read(told);
  mustBe(bytesOf(post, 1).equals(id) && numberOf(post, 2) === place, "it is another message");
  return {
    index, content: textOf(post, 4), author: textOfAddress(bytesOf(post, 3)), of: Number(count), after_block: trust.height - 1,
  };
}

// ------------------------------------------------------------------------------------------------ the command

function optionsOf(words) {
  const [rest, options] = [[], { node: "127.0.0.1:26670" }];
  for (let at = 0; at < words.length; at++) {
    if (words[at].startsWith("--")) options[words[at].slice(2)] = words[++at];
    else rest.push(words[at]);
  }
  return [rest, options];
}

function trustOf(text) {
  const found = /^([1-9][0-9]*):([0-9a-fA-F]{64})$/.exec(text ?? "");
  if (!found) throw new Error(`--trust HEIGHT:HASH, ${TRUSTED}`);
  if (Number(found[1]) < 2) throw new Error(`no state comes before block ${found[1]}: --trust HEIGHT:HASH, ${TRUSTED}`);
  return { height: Number(found[1]), hash: hex(found[2]) };
}

async function run(command, words, options, session) {
  const send = async (wallet, lane, messages) => {
    const asked = { chainId: options["chain-id"], memo: options.memo };
    try {
      return await submit(session, await build(session, wallet, lane, messages, asked));
    } catch (error) {
      // Its gas limit is too low by its own bytes: no node can execute it, so that another may be signed.
      const needed = /^tx 17: .*needed: ([0-9]{1,9}) at least/.exec(error.message)?.[1];
      if (needed === undefined) throw error;
      return submit(session, await build(session, wallet, lane, messages, { ...asked, needed: BigInt(needed) }));
    }
  };
  const [first, second, third] = words;
  switch (command) {
    case "address": {
      const wallet = walletOf(first);
      return { address: textOfAddress(wallet.address), hex: wallet.address.toString("hex") };
    }
    case "pay": {
      const wallet = walletOf(first);
      return send(wallet, LANES.currency, [kinds.payment(wallet.address, addressOf(second), BigInt(third))]);
    }
    case "open": {
      const wallet = walletOf(first);
      const legs = [kinds.registerIdentity(wallet.address, second, ""), kinds.createChannel(wallet.address, third, 0, "")];
      return send(wallet, LANES.bridge, legs);
    }
    case "post": {
      const wallet = walletOf(first);
      return send(wallet, LANES.chat, [kinds.postMessage(wallet.address, channelId(second), third, 0)]);
    }
    case "prove-account":
      return proveAccount(session, trustOf(options.trust), addressOf(first));
    case "prove-message":
      return proveMessage(session, trustOf(options.trust), first, Number(second));
  }
  throw new Error("commands: address, pay, open, post, prove-account, prove-message; see the top of this file");
}

const [[command, ...words], options] = optionsOf(process.argv.slice(2));
const session = connect(`http://${options.node}`);
session.on("error", () => {}); // each call hears of it
try {
  const told = await run(command, words, options, session);
  console.log(JSON.stringify(told));
  process.exitCode = told.code ? 1 : 0;
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
  process.exitCode = 1;
} finally {
  session.destroy();
}
