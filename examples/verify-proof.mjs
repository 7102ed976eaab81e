// Verifies a proof pack of dchat from docs/proof-pack.md alone, with nothing but Node.js:
//
//     node examples/verify-proof.mjs FILE HEIGHT:HASH
//
// Prints what the file shows to whoever trusts that block, as JSON; ends with 5 where it shows nothing. With `--vectors
// VECTORS.json` it judges the files in there instead, and ends with 1 where it judges one otherwise than is written.

import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const MAGIC = Buffer.from("dchatpf\x01", "latin1");
const FILE_BYTES_MAX = 1 << 20, HEADERS_MAX = 1024, TXS_MAX = 9, FIELD_BYTES_MAX = 128, TX_BYTES_MAX = 65536;
const VALIDATORS_MAX = 10000, TOTAL_MAX = 2 ** 31 - 1, DEPTH_MAX = 31, SECONDS_MAX = 253402300799, NANOS_MAX = 999999999;
const NUMBER_MAX = (1n << 63n) - 1n, POWER_MAX = 1n << 60n;
const [CHAIN_ID, HEIGHT, TIME, LAST_BLOCK_ID, DATA_HASH, VALIDATORS_HASH, NEXT_VALIDATORS_HASH, LAST_RESULTS_HASH] =
  [1, 2, 3, 4, 6, 7, 8, 11];
const HEADER_FIELDS = 14, LANE_CHAT = 1n;

class InvalidPack extends Error {}

function need(holds, reason) {
  if (!holds) throw new InvalidPack(reason);
}

const cat = (...pieces) => Buffer.concat(pieces);
const hex = (bytes) => bytes.toString("hex");
const byte = (value) => Buffer.from([value]);
const sha256 = (...pieces) => {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
};
const leafHash = (item) => sha256(byte(0), item);
const innerHash = (left, right) => sha256(byte(1), left, right);

function signatureHolds(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return false;
  try {
    const der = cat(Buffer.from("302a300506032b6570032100", "hex"), key); // SubjectPublicKeyInfo of Ed25519
    return verify(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
  } catch {
    return false;
  }
}

// ---------------------------------------------------------------------------------------------------- reading

class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  take(count, what) {
    need(this.at + count <= this.data.length, `the file ends within ${what}`);
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }

  big(what, most, least = 0n) {
    let value = 0n, shift = 0n, last;
    do {
      need(shift < 63n, `${what}: a number of more than 9 bytes`);
      last = this.take(1, what)[0];
      value |= BigInt(last & 0x7f) << shift;
      shift += 7n;
    } while (last >= 0x80);
    need(last !== 0 || shift === 7n, `${what}: a number that is not in its shortest form`);
    need(least <= value && value <= most, `${what} is ${value}; allowed: ${least} to ${most}`);
    return value;
  }

  number(what, most, least = 0) {
    return Number(this.big(what, BigInt(most), BigInt(least)));
  }

  blob(what, most) {
    return this.take(this.number(`the length of ${what}`, most), what);
  }

  list(count, read) {
    const found = [];
    for (let place = 0; place < count; place++) found.push(read(place));
    return found;
  }
}

function decode(data) {
  need(data.length <= FILE_BYTES_MAX, `the file has ${data.length} bytes`);
  const reader = new Reader(data);
  need(reader.take(MAGIC.length, "its first bytes").equals(MAGIC), "this is no proof pack that is known here");
  const channel = reader.take(20, "channel"), index = reader.big("index", NUMBER_MAX), sets = [];
  const count = reader.number("headers", HEADERS_MAX, 1);
  const headers = reader.list(count, (place) => readHeader(reader, place, sets));
  const txs = reader.list(reader.number("transactions", TXS_MAX, 1), () => readTx(reader, count));
  need(reader.at === data.length, "bytes follow the end");
  return { channel, index, headers, txs };
}

function readHeader(reader, place, sets) {
  let parent = -1, vouch = null;
  if (place) {
    const how = reader.take(1, "how a header is known")[0];
    need(how === 1 || how === 2, `header ${place} is known in the way ${how}`);
    parent = reader.number("a header's parent", place - 1);
    if (how === 2) vouch = readVouch(reader, sets);
  }
  const mask = reader.take(2, "which fields are shown").readUInt16BE();
  need(mask > 0 && mask < 1 << HEADER_FIELDS, `header ${place} shows the fields ${mask}`);
  const fields = new Map();
  const fold = (first, width) => {
    if (!((mask >> first) & ((1 << width) - 1))) return reader.take(32, "a header's hash");
    if (width === 1) {
      fields.set(first, reader.blob("a header's field", FIELD_BYTES_MAX));
      return leafHash(fields.get(first));
    }
    const left = splitPoint(width), below = fold(first, left);
    return innerHash(below, fold(first + left, width - left));
  };
  return { parent, vouch, hash: fold(0, HEADER_FIELDS), fields };
}

function splitPoint(count) { // the largest power of two strictly below
  let left = 1;
  while (left * 2 < count) left *= 2;
  return left;
}

function merkleRoot(items) { // level by level; an odd node is carried up
  let level = items.map(leafHash);
  while (level.length > 1) {
    const above = [];
    for (let at = 0; at < level.length; at += 2) {
      above.push(at + 1 < level.length ? innerHash(level[at], level[at + 1]) : level[at]);
    }
    level = above;
  }
  return level[0];
}

function readVouch(reader, sets) {
  const known = reader.number("a set of validators", sets.length);
  if (known === sets.length) {
    const members = reader.list(reader.number("validators", VALIDATORS_MAX, 1), () => ({
      key: reader.take(32, "a key"), power: reader.big("power", POWER_MAX),
    }));
    const leaves = members.map(({ key, power }) => // SimpleValidator{pub_key{ed25519}, voting_power}
      cat(Buffer.from("0a220a20", "hex"), key, power ? cat(byte(0x10), uvarint(power)) : Buffer.alloc(0)));
    sets.push({ members, hash: merkleRoot(leaves), total: members.reduce((sum, { power }) => sum + power, 0n) });
  }
  const set = sets[known];
  const round = reader.number("round", TOTAL_MAX), parts = reader.number("parts", TOTAL_MAX, 1);
  const partsHash = reader.take(32, "the parts' hash");
  let least = 0; // ascending: none counts twice
  const signatures = reader.list(reader.number("signatures", set.members.length, 1), () => {
    const position = reader.number("a validator's place", set.members.length - 1, least);
    least = position + 1;
    const seconds = reader.number("seconds", SECONDS_MAX), nanos = reader.number("nanoseconds", NANOS_MAX);
    return { position, seconds, nanos, signature: reader.take(64, "a signature") };
  });
  return { set, round, parts, partsHash, signatures };
}

function readTx(reader, headers) {
  const block = reader.number("the block's header", headers - 1);
  const result = reader.number("the next header", headers - 1);
  const depth = reader.number("the depth of a transaction", DEPTH_MAX);
  const path = reader.number("the sides of a transaction's path", 2 ** depth - 1);
  const hashes = (what) => reader.list(depth, () => reader.take(32, what));
  const tx = reader.blob("a transaction", TX_BYTES_MAX), aunts = hashes("the path of a transaction");
  const outcome = reader.blob("a result", TX_BYTES_MAX);
  return { block, result, path, tx, aunts, outcome, outcomeAunts: hashes("the path of a result") };
}

// ---------------------------------------------------------------------------------------------------- protobuf

function uvarint(value) {
  const out = [];
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 0x80n) return Buffer.from([...out, Number(left)]);
    out.push(Number(left & 0x7fn) | 0x80);
  }
}

const field = (tag, content) => cat(byte(tag), uvarint(content.length), content);
const intField = (tag, value) => (value ? cat(byte(tag), uvarint(value)) : Buffer.alloc(0));
const fixedField = (tag, value) => {
  const out = Buffer.alloc(9);
  out[0] = tag;
  out.writeBigInt64LE(BigInt(value), 1);
  return value ? out : Buffer.alloc(0);
};

// A message as a map from field number to its values in order: bigints, or bytes.
function message(data) {
  const fields = new Map();
  let at = 0;
  const number = () => {
    for (let value = 0n, shift = 0n; shift < 70n; shift += 7n) {
      need(at < data.length, "protobuf ends within a number");
      value |= BigInt(data[at] & 0x7f) << shift;
      if (data[at++] < 0x80) return value & ((1n << 64n) - 1n);
    }
    throw new InvalidPack("protobuf has a number of more than 10 bytes");
  };
  while (at < data.length) {
    const tag = Number(number()), kind = tag & 7;
    need(tag >> 3 > 0 && (kind === 0 || kind === 2), `protobuf has a field with the tag ${tag}`);
    let value = number();
    if (kind === 2) {
      need(value <= BigInt(data.length - at), "protobuf ends within a field");
      at += Number(value);
      value = data.subarray(at - Number(value), at);
    }
    if (!fields.has(tag >> 3)) fields.set(tag >> 3, []);
    fields.get(tag >> 3).push(value);
  }
  const last = (name) => (fields.get(name) ?? []).at(-1);
  return {
    has: (name) => fields.has(name),
    numbers: [...fields.keys()],
    bytes: (name) => { const found = last(name); return Buffer.isBuffer(found) ? found : Buffer.alloc(0); },
    int: (name) => { const found = last(name); return typeof found === "bigint" ? found : 0n; },
    all: (name) => (fields.get(name) ?? []).map((found) => message(Buffer.isBuffer(found) ? found : Buffer.alloc(0))),
  };
}

// ---------------------------------------------------------------------------------------------------- judging

export function verifyPack(data, trustedHeight, trustedHash) {
  const pack = decode(data), chain = headersOf(pack, trustedHeight, trustedHash);
  const executed = pack.txs.map((tx, place) => executedTx(tx, chain, `transaction ${place} of the file`));
  const post = executed[0];
  const leg = post.legs.findIndex((found, number) => found.kind === "post_message" &&
    found.subject.equals(pack.channel) && found.index === pack.index && post.messages[number].kind === "post_message");
  need(leg >= 0, "the first transaction did not post that message");
  const said = post.messages[leg].body, author = said.bytes(1);
  need(said.bytes(2).equals(pack.channel), "the transaction posts to another channel than its receipt says");
  const signer = post.signers.findIndex((entry) => entry.bytes(1).equals(author));
  const keys = post.signatures.filter((entry) => entry.signer === signer).map((entry) => entry.key);
  need(signer >= 0 && keys.length, "nobody signed for the author");
  const isHash = (policy) => sha256(Buffer.from("dchat/address"), policy).subarray(0, 20).equals(author);
  const ownKey = keys.some((key) => isHash(cat(Buffer.from("0a20", "hex"), key))) ||
    (post.signers[signer].has(2) && isHash(post.signers[signer].bytes(2)));
  const commits = pack.headers.filter((header) => header.vouch).length;
  return {
    chain_id: chain.id, channel_id: hex(pack.channel), index: `${pack.index}`, author: hex(author),
    content: hex(said.bytes(3)), reply_to: said.int(4) ? `${said.int(4) - 1n}` : null, height: `${post.height}`,
    time_ns: `${timeOf(chain.field(pack.txs[0].block, TIME))}`, keys: keys.map(hex), own_key: ownKey,
    txs: executed.map((one) => shownTx(one, pack, author, one === post ? leg : -1)),
    links: pack.headers.length - 1 - commits, commits,
  };
}

function headersOf(pack, trustedHeight, trustedHash) {
  const headers = pack.headers, heights = [];
  const show = (place, number) => {
    const found = headers[place].fields.get(number);
    need(found !== undefined, `header ${place} of the file does not show its field ${number}`);
    return found;
  };
  const hashIn = (place, number) => hashOf(show(place, number));
  const lastBlock = (place) => hashOf(show(place, LAST_BLOCK_ID).subarray(0, 34));
  const chain = { id: "", heights, field: show, hashIn, lastBlock, hash: (place) => headers[place].hash };
  headers.forEach((header, place) => {
    if (!place) {
      const begins = heightOf(show(0, HEIGHT));
      need(begins === trustedHeight, `the file begins with block ${begins}, trusted is block ${trustedHeight}`);
      need(header.hash.equals(trustedHash), `the file's block ${begins} hashes to ${hex(header.hash)}`);
      heights.push(begins);
      const id = show(0, CHAIN_ID);
      need(id.length >= 2 && id.length <= 52 && id[0] === 0x0a && id[1] === id.length - 2, "no chain id");
      chain.id = id.toString("utf8", 2);
      need(Buffer.from(chain.id).equals(id.subarray(2)), "a chain id is no text");
    } else if (!header.vouch) {
      need(lastBlock(header.parent).equals(header.hash), `header ${place} is not the last block of its parent`);
      heights.push(heights[header.parent] - 1n);
    } else {
      heights.push(vouchedHeight(chain, header, place));
    }
  });
  return chain;
}

function vouchedHeight(chain, { parent, vouch, hash }, place) {
  const { set, round, parts, partsHash } = vouch;
  need(set.hash.equals(chain.hashIn(place, VALIDATORS_HASH)) && set.hash.equals(chain.hashIn(parent, NEXT_VALIDATORS_HASH)),
    `header ${place}: its validators are not those that its parent names for the next height`);
  const height = heightOf(chain.field(place, HEIGHT));
  need(height > chain.heights[parent], `header ${place} is not above its parent`);
  const blockId = cat(field(0x0a, hash), field(0x12, cat(intField(0x08, parts), field(0x12, partsHash))));
  let power = 0n;
  for (const { position, seconds, nanos, signature } of vouch.signatures) {
    const time = cat(intField(0x08, seconds), intField(0x10, nanos));
    const vote = cat(Buffer.from("0802", "hex"), fixedField(0x11, height), fixedField(0x19, round), // a precommit
      field(0x22, blockId), field(0x2a, time), field(0x32, Buffer.from(chain.id)));
    const { key, power: weight } = set.members[position];
    need(signatureHolds(key, cat(uvarint(vote.length), vote), signature),
      `header ${place}: the signature of validator ${position} does not hold`);
    power += weight;
  }
  need(power * 3n > set.total * 2n, `header ${place}: ${power} of the power ${set.total} signed it`);
  return height;
}

function hashOf(found) {
  need(found.length === 34 && found[0] === 0x0a && found[1] === 0x20, "a header's hash is none");
  return found.subarray(2);
}

function heightOf(found) {
  need(found[0] === 0x08, "a header's height is none");
  const reader = new Reader(found.subarray(1)), height = reader.big("height", NUMBER_MAX, 1n);
  need(reader.at === found.length - 1, "a header's height is none");
  return height;
}

function timeOf(found) {
  need(found[0] === 0x08, "a header's time is none");
  const reader = new Reader(found.subarray(1)), seconds = reader.number("a time", SECONDS_MAX);
  let nanos = 0;
  if (reader.at < found.length - 1) {
    need(reader.take(1, "a time")[0] === 0x10, "a header's time is none");
    nanos = reader.number("a time", NANOS_MAX);
  }
  need(reader.at === found.length - 1, "a header's time is none");
  return BigInt(seconds) * 1000000000n + BigInt(nanos);
}

// The names of the messages that are looked into, by their field number in Message.
// Where a message names the denomination that its amount is in units of; of a shared escrow (212) in its terms.
const DENOMS = { 4: 2, 5: 2, 6: 2, 7: 2, 8: 2, 9: 4, 10: 4, 48: 9, 49: 6, 208: 4, 212: 9, 213: 3 };
// Kinds whose leg tells what was asked for, allowed or held still: they move nothing.
const UNPAID = ["request_payment", "create_standing_order", "grant_fees", "authorise", "freeze_holding"];
const KINDS = { 1: "payment", 18: "post_message", 32: "register_identity", 33: "tip", 34: "pay_to_join", 35: "buy_allowance" };

function pathRoot(item, path, aunts) {
  let node = leafHash(item);
  for (const [level, aunt] of aunts.entries()) {
    node = Math.floor(path / 2 ** level) % 2 ? innerHash(aunt, node) : innerHash(node, aunt);
  }
  return node;
}

function executedTx(tx, chain, where) {
  need(chain.lastBlock(tx.result).equals(chain.hash(tx.block)), `${where}: its headers do not follow each other`);
  const height = chain.heights[tx.block], hash = sha256(tx.tx);
  need(pathRoot(hash, tx.path, tx.aunts).equals(chain.hashIn(tx.block, DATA_HASH)), `${where} is not in its block`);
  need(pathRoot(tx.outcome, tx.path, tx.outcomeAunts).equals(chain.hashIn(tx.result, LAST_RESULTS_HASH)),
    `${where} has another result`);
  const envelope = message(tx.tx), content = envelope.bytes(1), body = message(content), outcome = message(tx.outcome);
  const receipt = message(outcome.bytes(2)), signers = body.all(4), payer = Number(body.int(5));
  need(outcome.int(1) === 0n, `${where} was not executed`);
  need(body.bytes(1).toString() === chain.id, `${where} is of another chain`);
  const legs = receipt.all(7).map((leg) =>
    ({ kind: leg.bytes(1).toString(), amount: leg.int(2), subject: leg.bytes(3), index: leg.int(4) }));
  const messages = body.all(3).map((one) => {
    const number = one.numbers.at(-1) ?? 0;
    const said = message(one.bytes(number));
    return { kind: KINDS[number] ?? "", body: said, unit: unitOf(number, number === 212 ? message(said.bytes(2)) : said, where) };
  });
  need(receipt.bytes(1).equals(sha256(content)) && legs.length === messages.length, `${where} has another's receipt`);
  need(receipt.int(2) === height, `${where} has a receipt of another block`);
  need(payer < signers.length, `${where} names no fee payer`);
  const signed = sha256(Buffer.from("dchat/tx/v1"), content);
  const signatures = envelope.all(2).map((entry) => {
    need(signatureHolds(entry.bytes(2), signed, entry.bytes(3)), `${where}: a signature does not hold`);
    return { signer: Number(entry.int(1)), key: entry.bytes(2) };
  });
  return {
    hash, height, position: Number(receipt.int(3)), fee: receipt.int(8), legs, messages, signers, signatures,
    // Who granted the fee, or who paid it. In the chat lane there is no fee, and it is a channel that gave of its allowance.
    payer: body.has(11) && body.int(2) !== LANE_CHAT ? body.bytes(11) : signers[payer].bytes(1),
  };
}

// What the amount of a message counts: "" udchat; creator and name of a denomination, in hex; null: what an escrow holds.
function unitOf(number, said, where) {
  if (number in DENOMS && said.has(DENOMS[number])) {
    const denom = message(said.bytes(DENOMS[number]));
    need(denom.bytes(1).length === 20, `${where}: the creator of a denomination has not 20 bytes`);
    return hex(cat(denom.bytes(1), denom.bytes(2)));
  }
  return number === 49 && !said.int(3) ? null : ""; // an escrow is released, all that is left of it
}

function shownTx(one, pack, author, posted) {
  const legs = [];
  one.messages.forEach((said, number) => {
    if (number === posted) return;
    const { payer, why } = concern(said, pack, author), { kind, amount } = one.legs[number];
    const leg = { kind, amount: UNPAID.includes(kind) ? "0" : `${amount}`, payer: hex(payer), why };
    legs.push(said.unit === "" ? leg : { ...leg, unit: said.unit }); // without a unit it is udchat
  });
  for (const address of [author, one.payer, ...legs.map((leg) => leg.payer).filter(Boolean)]) {
    need(address.length === (typeof address === "string" ? 40 : 20), "an address has not 20 bytes");
  }
  return {
    hash: hex(one.hash), height: `${one.height}`, position: one.position, fee_payer: hex(one.payer), fee: `${one.fee}`, legs,
  };
}

// Who a message acts for, and how it concerns the one that is shown.
function concern({ kind, body }, pack, author) {
  const payer = body.bytes(1);
  switch (kind) {
    case "payment":
      return { payer, why: "" };
    case "tip":
      return { payer, why: body.bytes(2).equals(pack.channel) && body.int(3) === pack.index ? "a tip for this message" : "" };
    case "pay_to_join": {
      const isFor = body.bytes(2).equals(pack.channel) && payer.equals(author);
      return { payer, why: isFor ? "the author's way into the channel" : "" };
    }
    case "buy_allowance":
      return { payer, why: payer.equals(author) ? "the author's allowance" : "" };
    case "register_identity":
      return { payer, why: payer.equals(author) ? "the author's identity" : "" };
    default:
      return { payer: Buffer.alloc(0), why: "" };
  }
}

// ---------------------------------------------------------------------------------------------------- the command

function judged(data, trust) {
  const parts = /^([1-9][0-9]{0,17}):([0-9A-Fa-f]{64})$/.exec(trust ?? "");
  if (!parts) throw new Error("expected HEIGHT:HASH, the hash in 64 hex characters");
  try {
    return verifyPack(data, BigInt(parts[1]), Buffer.from(parts[2], "hex"));
  } catch (error) {
    if (error instanceof InvalidPack) return { refused: error.message };
    throw error;
  }
}

function main([first, second]) {
  if (first === "--vectors") {
    const files = new Map();
    const wrong = JSON.parse(readFileSync(second)).filter(({ name, file, like, splice, trust, shown }) => {
      if (splice) { // another file with some of its bytes, from a place on, replaced by others
        const [at, gone, put] = splice, base = files.get(like);
        files.set(name, cat(base.subarray(0, at), Buffer.from(put, "hex"), base.subarray(at + gone)));
      } else files.set(name, Buffer.from(file, "hex"));
      const found = judged(files.get(name), trust);
      return JSON.stringify(found.refused === undefined ? found : null) !== JSON.stringify(shown);
    });
    for (const { name } of wrong) console.error(`judged otherwise: ${name}`);
    return wrong.length ? 1 : 0;
  }
  const found = judged(readFileSync(first), second);
  if (found.refused !== undefined) {
    console.error(`${first} shows nothing: ${found.refused}`);
    return 5;
  }
  console.log(JSON.stringify(found, null, 2));
  return 0;
}

process.exitCode = main(process.argv.slice(2));
