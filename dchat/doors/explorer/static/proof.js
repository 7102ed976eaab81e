// A record's proof, checked here: from its bytes to its store's root, to the app hash, to the header that has it, to the
// validators' signatures over that header. What is not checked is said as plainly as what is.
// Source: ICS-23 (SmtSpec, TendermintSpec), CometBFT v0.38 (header, validator set and vote encodings); chain/state/ics23.py
// and light/ are the same rules in Python.

import { read, schema } from "./api.js";
import { clean, h, section } from "./dom.js";
import { mono, number, short, tree } from "./text.js";
import {
  Malformed, bytesField, decode, fields, fixedField, fromHex, intField, join, merkleRoot, message, same, sha256, timestamp, toHex, utf8,
  uvarint,
} from "./wire.js";

const EMPTY = new Uint8Array(32);
const TAG = Uint8Array.of(1);
const SMT = { name: "store", depth: 256, hashed: true, leaf: "0801100118012a0100" };
const SIMPLE = { name: "app hash", depth: 128, hashed: false, leaf: "0801180120012a0100" };
const PROOF_BYTES_MAX = 262_144;

class Refuted extends Error {}
function must(holds, sentence) {
  if (!holds) throw new Refuted(sentence);
}

// ---------------------------------------------------------------------------------------------- ICS-23

// One field of each number at most, as bytes.
function parts(bytes, repeated = 0) {
  const found = { many: [] };
  for (const [field, type, value] of fields(bytes)) {
    if (field === repeated) {
      must(type === 2, "a proof's path is not made of messages");
      found.many.push(value);
    } else {
      must(!(field in found), "a proof says one thing twice");
      found[field] = value;
    }
  }
  return found;
}

function commitment(bytes, spec) {
  must(bytes.length <= PROOF_BYTES_MAX, "the proof is larger than any proof is");
  const found = parts(bytes);
  const kinds = Object.keys(found).filter((key) => key !== "many");
  must(kinds.length === 1 && ["1", "2"].includes(kinds[0]), "the proof is neither of existence nor of absence");
  if (kinds[0] === "1") return { there: existence(found[1], spec) };
  const absent = parts(found[2]);
  return {
    key: absent[1] ?? new Uint8Array(),
    left: absent[2] && existence(absent[2], spec),
    right: absent[3] && existence(absent[3], spec),
  };
}

function existence(bytes, spec) {
  const found = parts(bytes, 4);
  must(found[1]?.length && found[2]?.length, `the proof under the ${spec.name} has no key or no value`);
  must(found[3] && toHex(found[3]) === spec.leaf, `the leaf under the ${spec.name} is hashed in another way than the specification's`);
  must(found.many.length <= spec.depth, `the path under the ${spec.name} is longer than the tree is deep`);
  return { key: found[1], value: found[2], path: found.many.map((step) => inner(step, spec)) };
}

// An inner node: a tag and two children, of which one is beside ours.
function inner(bytes, spec) {
  const found = parts(bytes);
  const before = found[2] ?? new Uint8Array();
  const after = found[3] ?? new Uint8Array();
  must(found[1] === 1n && before[0] === 1, `an inner node under the ${spec.name} has another hash or tag`);
  must(before.length + after.length === 33 && (before.length === 1 || before.length === 33),
    `an inner node under the ${spec.name} has not two children`);
  return before.length === 33 ? { right: true, sibling: before.subarray(1) } : { right: false, sibling: after };
}

async function rootOf(proof, spec) {
  const name = spec.hashed ? await sha256(proof.key) : proof.key;
  const content = await sha256(proof.value);
  if (spec.hashed) {
    proof.path.toReversed().forEach((step, depth) => {
      must(((name[depth >> 3] >> (7 - (depth & 7))) & 1) === Number(step.right), "a leaf is not where its key's hash puts it");
    });
  }
  let node = spec.hashed
    ? await sha256(Uint8Array.of(0), name, content)
    : await sha256(Uint8Array.of(0), uvarint(name.length), name, uvarint(content.length), content);
  for (const step of proof.path) node = step.right ? await sha256(TAG, step.sibling, node) : await sha256(TAG, node, step.sibling);
  return node;
}

async function checkAbsence(proof, root, key) {
  must(same(proof.key, key), "the proof is about another key");
  must(proof.left || proof.right, "the proof of absence names no neighbour");
  const target = toHex(await sha256(key));
  for (const [side, neighbour] of [["left", proof.left], ["right", proof.right]]) {
    if (!neighbour) continue;
    must(same(await rootOf(neighbour, SMT), root), `the ${side} neighbour is not under the store's root`);
    const rank = toHex(await sha256(neighbour.key));
    must(rank !== target && rank < target === (side === "left"), `the ${side} neighbour is on another side`);
  }
  let left = proof.left?.path;
  let right = proof.right?.path;
  if (left && right) {
    let common = 0;
    while (common < left.length && common < right.length && alike(left.at(-1 - common), right.at(-1 - common))) common += 1;
    left = left.slice(0, left.length - common);
    right = right.slice(0, right.length - common);
    must(left.length && right.length && !left.at(-1).right && right.at(-1).right, "the neighbours are not two sides of one node");
    left = left.slice(0, -1);
    right = right.slice(0, -1);
  }
  const outer = (path, isRight) => (path ?? []).every((step) => step.right !== isRight || same(step.sibling, EMPTY));
  must(outer(left, false) && outer(right, true), "something lies between the neighbours");
}

const alike = (one, other) => one.right === other.right && same(one.sibling, other.sibling);

// ------------------------------------------------------------------------------------- header and commit

const blockId = (id) =>
  join(bytesField(1, fromHex(id.hash)), message(2, join(intField(1, id.part_set_header.total), bytesField(2, fromHex(id.part_set_header.hash)))));

const headerHash = (header) =>
  merkleRoot([
    join(intField(1, header.version.block), intField(2, header.version.app)),
    bytesField(1, utf8(header.chain_id)),
    intField(1, header.height),
    timestamp(header.time),
    blockId(header.last_block_id),
    ...["last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash", "last_results_hash",
      "evidence_hash", "proposer_address"].map((name) => bytesField(1, fromHex(header[name]))),
  ]);

function signBytes(header, commit, slot) {
  const body = join(
    intField(1, 2), fixedField(2, commit.height), fixedField(3, commit.round), message(4, blockId(commit.block_id)),
    message(5, timestamp(slot.timestamp)), bytesField(6, utf8(header.chain_id)),
  );
  return join(uvarint(body.length), body);
}

async function canVerify() {
  try {
    await crypto.subtle.importKey("raw", fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), { name: "Ed25519" }, false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}

// A validator's key and its field in the protobuf's PublicKey. Browsers verify by Ed25519 alone.
const keyOf = (one) => (one.pub_key?.mldsa65 ? [4, fromHex(one.pub_key.mldsa65)] : [1, fromHex(one.pub_key?.ed25519 ?? "")]);

async function checkCommit(signed, list) {
  const { header, commit } = signed;
  must(commit.signatures.length === list.length, "the commit has not a place for each validator");
  let power = 0n;
  let total = 0n;
  let signers = 0;
  for (const [at, one] of list.entries()) {
    const [, key] = keyOf(one);
    must(toHex((await sha256(key)).subarray(0, 20)) === one.address, "a validator's address is not its key's");
    must(BigInt(one.voting_power) > 0n, "a validator has no power");
    total += BigInt(one.voting_power);
    const slot = commit.signatures[at];
    if (slot.block_id_flag !== "BLOCK_ID_FLAG_COMMIT") continue;
    must(slot.validator_address === one.address, "a signature stands in another validator's place");
    const usable = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    const valid = await crypto.subtle.verify({ name: "Ed25519" }, usable, fromHex(slot.signature), signBytes(header, commit, slot));
    must(valid, `the signature of validator ${one.address} does not hold`);
    power += BigInt(one.voting_power);
    signers += 1;
  }
  must(power * 3n > total * 2n, `only ${power} of ${total} of the power signed; more than two thirds are needed`);
  return { power, total, signers };
}

// --------------------------------------------------------------------------------------------- the check

// asked: { kind, name }: of schema.json's records, and the bytes of the key behind its prefix (hex). Yields what was checked.
export async function check(proof, asked, described, told) {
  const done = [];
  const say = (state, ...what) => done.push({ state, what });
  const record = described.records[asked.kind];
  const key = join(fromHex(record.prefix), fromHex(asked.name));
  try {
    if (!globalThis.crypto?.subtle) {
      say("wait", "Nothing was checked: this browser computes hashes only on pages that come over HTTPS or from localhost, and this one did not.");
      return { done, holds: false, found: undefined };
    }
    const ops = proof.ops?.ops ?? [];
    must(ops.length === 2 && ops[0].type === "ics23:smt" && ops[1].type === "ics23:simple", "the proof has not the two steps that it must have");
    must(ops[0].key === toHex(key) && ops[1].key === toHex(utf8(record.store)), "the proof is about another record than the one that was asked for");
    const upper = commitment(fromHex(ops[1].data), SIMPLE).there;
    must(upper && same(upper.key, utf8(record.store)) && upper.value.length === 32, "the store's root is not shown");
    const lower = commitment(fromHex(ops[0].data), SMT);
    let found = null;
    if (lower.there) {
      must(same(lower.there.key, key), "the proof is about another key");
      must(same(await rootOf(lower.there, SMT), upper.value), "the record's bytes do not lead to the store's root");
      found = decode(lower.there.value, record.message, described);
      say("good", `The record's ${lower.there.value.length} bytes lie under the key ${short(toHex(key))} of the ${record.store} store: ${lower.there.path.length + 1} hashes lead to its root `, mono(short(toHex(upper.value))), ".");
    } else {
      await checkAbsence(lower, upper.value, key);
      say("good", `The ${record.store} store has nothing under this key: the neighbours on both sides lead to its root `, mono(short(toHex(upper.value))), ".");
    }
    if (told) {
      const alike = found !== null && canonical(found) === canonical(told);
      must(alike, "the node showed another record than the bytes that it proved");
      say("good", "What this page showed of it is what those bytes say: they were decoded here.");
    }
    const { header, commit } = proof.light_block.signed_header;
    must(same(await rootOf(upper, SIMPLE), fromHex(header.app_hash)), "the store's root does not lead to the header's app hash");
    must(BigInt(header.height) === BigInt(proof.height) + 1n, "the header is of another height");
    say("good", "That root leads to the app hash in the header of block ", number(header.height), ".");
    const hashed = toHex(await headerHash(header));
    must(hashed === commit.block_id.hash && commit.height === header.height, "the header's hash is not the one that was signed");
    say("good", "The header's 14 fields hash to the block's hash ", mono(short(hashed)), ".");
    const list = proof.light_block.validator_set.validators;
    const root = await merkleRoot(list.map((one) =>
      join(message(1, bytesField(...keyOf(one))), intField(2, one.voting_power))));
    must(toHex(root) === header.validators_hash, "the validators are not those that the header names");
    say("good", `The ${list.length} validators that the node names are those of the header (hash `, mono(short(header.validators_hash)), ").");
    const others = list.filter((one) => keyOf(one)[0] !== 1).length;
    const isSigned = !others && (await canVerify());
    if (isSigned) {
      const { power, total, signers } = await checkCommit(proof.light_block.signed_header, list);
      say("good", `${signers} of ${list.length} of them signed this block: ${number(power)} of ${number(total)} of the power, all Ed25519 signatures hold.`);
    } else if (others) {
      say("wait", `The validators' signatures were not checked: ${others} of them sign by ML-DSA-65, which no browser knows yet.`);
    } else {
      say("wait", "The validators' signatures were not checked: this browser's WebCrypto has no Ed25519.");
    }
    say("wait", "Not checked: that these validators are the chain's own. Compare the hash of this block with another source that you trust; " +
      "dchat query … --prove --trust HEIGHT:HASH does it from one.");
    return { done, holds: true, isSigned, found };
  } catch (error) {
    const known = error instanceof Refuted || error instanceof Malformed;
    say("bad", known ? `The proof does not hold: ${error.message}.` : `The proof could not be read: ${clean(error.message, 200)}.`);
    return { done, holds: false, found: undefined };
  }
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join()}}`;
}

// A section with the button. path: of the read; pick: the record in its answer.
export function prover(what, path, asked, pick) {
  const result = h("div", { role: "status" });
  const button = h("button", { type: "button", click: run }, `Prove ${what} here`);
  async function run() {
    button.disabled = true;
    result.replaceChildren(h("p", { class: "hint" }, "Waits for the header that proves it, then checks."));
    try {
      const [described, answer] = await Promise.all([schema(), read(path, { prove: "true" })]);
      if (!answer.proof) throw new Error("the node gave no proof");
      const { done, holds, isSigned, found } = await check(answer.proof, asked, described, pick(answer));
      const verdict = !holds ? "It does not hold, or was not checked."
        : !isSigned ? "It holds as far as it was checked." : found === null ? "It is proved that there is none." : "It holds.";
      result.replaceChildren(
        h("p", {}, h("b", { class: holds ? "good" : "bad" }, verdict), ` State after block ${number(answer.proof.height)}.`),
        h("ul", { class: "checks" }, done.map((one) => h("li", { class: one.state }, h("span", {}, one.what)))),
        found ? h("details", {}, h("summary", {}, "The record, as its proved bytes say it"), tree(found)) : "");
    } catch (error) {
      result.replaceChildren(h("p", { class: "bad" }, clean(error.message, 300)));
    }
    button.disabled = false;
  }
  return section("Proof", h("p", { class: "hint" }, "Nothing of what is checked leaves your browser; the node is asked for the proof alone."), button, result);
}
