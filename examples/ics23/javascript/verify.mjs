// Verifies what a dchat node answered about one record, with the npm package @confio/ics23.
//
//   npm install
//   curl "localhost:7071/v1/records/currency/61ADDRESS?prove=true" | node verify.mjs currency 61ADDRESS APP_HASH
//
// The steps, and where APP_HASH comes from: docs/proofs.md. Prints the value in hex, or "absent"; exit code 1: not proved.
//
// The package's own smtSpec does not hash keys, and so fits no tree; with the specification below it verifies existence.
// Its rule of absence orders neighbours by their keys instead of by their hashes and knows no empty subtrees: what is
// between two neighbours is judged here, and each neighbour's existence by the package.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import process from "node:process";

import ics from "@confio/ics23";

const { HashOp, LengthOp, CommitmentProof } = ics.ics23;
const ANSWER_BYTES_MAX = 4 << 20;
const EMPTY = Buffer.alloc(32);

const smtSpec = {
  leafSpec: {
    hash: HashOp.SHA256, prehashKey: HashOp.SHA256, prehashValue: HashOp.SHA256, length: LengthOp.NO_PREFIX,
    prefix: Uint8Array.from([0]),
  },
  innerSpec: {
    childOrder: [0, 1], childSize: 32, minPrefixLength: 1, maxPrefixLength: 1, emptyChild: EMPTY, hash: HashOp.SHA256,
  },
  maxDepth: 256,
};

const sha256 = (data) => createHash("sha256").update(data).digest();
const bytes = (text) => {
  if (typeof text !== "string" || !/^([0-9a-fA-F]{2})*$/.test(text)) throw new Error("expected hex");
  return Buffer.from(text, "hex");
};
const must = (holds, why) => { if (!holds) throw new Error(why); };

// One operation: an encoded CommitmentProof.
function proof(told, number, kind) {
  const ops = told.proof?.ops?.ops ?? [];
  must(ops.length === 2 && ops[number].type === kind, `expected two operations, number ${number} of type ${kind}`);
  return CommitmentProof.decode(bytes(ops[number].data));
}

// From the root down: on which side a node is, and the hash of the one beside it. A node is 01, left, right.
function steps(found) {
  return [...(found.path ?? [])].reverse().map(({ prefix, suffix }) => {
    const before = Buffer.from(prefix ?? []), after = Buffer.from(suffix ?? []);
    must(before[0] === 1 && before.length + after.length === 33 && (before.length === 1 || after.length === 0),
      "an inner node is not a tag and two children");
    return { right: before.length === 33, beside: after.length ? after : before.subarray(1) };
  });
}

// A record under the root, and at the place that its key's hash gives it.
function neighbour(found, root) {
  must(ics.verifyMembership({ exist: found }, smtSpec, root, found.key, found.value), "a neighbour is not in the store");
  const place = sha256(found.key), path = steps(found);
  path.forEach(({ right }, depth) => {
    must(((place[depth >> 3] >> (7 - (depth & 7))) & 1) === Number(right), "a neighbour is not where its key's hash says");
  });
  return { place, path };
}

// Nothing is to the right (or left) of a path: it goes to that side, or the other child there is an empty subtree.
const isLast = (path, right) => path.every((step) => step.right === right || step.beside.equals(EMPTY));

function verifyAbsence(found, root, key) {
  must(found && Buffer.from(found.key).equals(key), "the proof is of another key, or of none");
  const place = sha256(key);
  const left = found.left && neighbour(found.left, root), right = found.right && neighbour(found.right, root);
  must(left || right, "no neighbour is shown");
  must(!left || Buffer.compare(left.place, place) < 0, "the left neighbour is not to the left");
  must(!right || Buffer.compare(place, right.place) < 0, "the right neighbour is not to the right");
  if (!left || !right) {
    must(left ? isLast(left.path, true) : isLast(right.path, false), "there is more beyond the only neighbour");
    return;
  }
  const depth = left.path.findIndex((step, at) => step.right !== right.path[at]?.right);
  must(depth >= 0 && right.path[depth] && !left.path[depth].right, "the neighbours do not part");
  must(isLast(left.path.slice(depth + 1), true) && isLast(right.path.slice(depth + 1), false),
    "there is more between the neighbours");
}

// The record's value; null: it is shown to be absent.
function verified(told, store, key, appHash) {
  const upper = proof(told, 1, "ics23:simple"), lower = proof(told, 0, "ics23:smt");
  const root = Buffer.from(upper.exist?.value ?? []);
  must(ics.verifyMembership(upper, ics.tendermintSpec, appHash, Buffer.from(store), root),
    "the store's root is not under the app hash");
  if (told.value === undefined) {
    verifyAbsence(lower.nonexist, root, key);
    return null;
  }
  const value = bytes(told.value);
  must(lower.exist, "the record is not shown to exist");
  steps(lower.exist);
  must(ics.verifyMembership(lower, smtSpec, root, key, value), "the record is not under the store's root");
  return value;
}

function main([store, key, appHash, ...rest]) {
  must(appHash && !rest.length, "usage: STORE KEY APP_HASH < answer.json (key and hash in hex)");
  must(appHash.length === 64, "an app hash has 64 hex characters");
  const input = readFileSync(0);
  must(input.length <= ANSWER_BYTES_MAX, "the answer is too long");
  const value = verified(JSON.parse(input), store, bytes(key), bytes(appHash));
  console.log(value === null ? "absent" : value.toString("hex"));
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(`not proved: ${error.message}`);
  process.exitCode = 1;
}
