// Bytes: hex, protobuf's wire format (read within bounds, written as CometBFT hashes it), SHA-256 and the simple Merkle tree.

export class Malformed extends Error {}

const encoder = new TextEncoder();
export const utf8 = (text) => encoder.encode(text);

export function fromHex(text) {
  if (typeof text !== "string" || !/^([0-9a-f]{2})*$/i.test(text)) throw new Malformed("not hex");
  return Uint8Array.from(text.match(/../g) ?? [], (two) => parseInt(two, 16));
}
export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

export function join(...pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export const sha256 = async (...pieces) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...pieces)));

// --------------------------------------------------------------------------------------------- writing

export function uvarint(value) {
  let left = BigInt.asUintN(64, BigInt(value));
  const bytes = [];
  do {
    bytes.push(Number(left & 127n) | (left > 127n ? 128 : 0));
    left >>= 7n;
  } while (left);
  return Uint8Array.from(bytes);
}

const tag = (field, type) => uvarint((field << 3) | type);
export const intField = (field, value) => (BigInt(value) === 0n ? new Uint8Array() : join(tag(field, 0), uvarint(value)));
export const message = (field, bytes) => join(tag(field, 2), uvarint(bytes.length), bytes);
export const bytesField = (field, bytes) => (bytes.length ? message(field, bytes) : new Uint8Array());

export function fixedField(field, value) {
  if (BigInt(value) === 0n) return new Uint8Array();
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return join(tag(field, 1), bytes);
}

// RFC 3339 with nanoseconds, as the door writes it, as a Timestamp.
export function timestamp(text) {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  if (!found) throw new Malformed("a time is not as RFC 3339 has it");
  return join(intField(1, Date.parse(`${found[1]}Z`) / 1000), intField(2, Number((found[2] ?? "0").padEnd(9, "0"))));
}

// --------------------------------------------------------------------------------------------- reading

// Fields in their order: [number, wire type, value]; a value is a BigInt or bytes. Groups are refused.
export function fields(bytes) {
  const found = [];
  let at = 0;
  const read = () => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) throw new Malformed("a message ends in the middle of a number");
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new Malformed("a number has more than 64 bits");
  };
  const take = (size) => {
    if (size > bytes.length - at) throw new Malformed("a field is longer than its message");
    at += size;
    return bytes.subarray(at - size, at);
  };
  while (at < bytes.length) {
    const key = Number(read());
    const [number, type] = [Math.floor(key / 8), key % 8];
    if (type === 0) found.push([number, type, read()]);
    else if (type === 2) found.push([number, type, take(Number(read()))]);
    else if (type === 1) found.push([number, type, take(8)]);
    else if (type === 5) found.push([number, type, take(4)]);
    else throw new Malformed(`a field has wire type ${type}`);
  }
  return found;
}

const DEPTH_MAX = 16;

// A record by the node's schema (schema.json), in the form in which the door writes it.
export function decode(bytes, name, schema, depth = 0) {
  if (depth > DEPTH_MAX) throw new Malformed("messages lie in messages without end");
  const rows = schema.messages[name];
  const told = {};
  for (const row of rows) {
    if (row.repeated) told[row.name] = [];
    else if (!row.presence) told[row.name] = row.kind === "bytes" || row.kind === "string" ? "" : zero(row, schema);
  }
  for (const [number, type, value] of fields(bytes)) {
    const row = rows.find((one) => one.number === number);
    if (!row) throw new Malformed(`${name} has a field ${number} that no schema names`);
    if (row.repeated && type === 2 && !["bytes", "string", "message"].includes(row.kind)) {
      let packed = value;
      while (packed.length) {
        const end = packed.findIndex((byte) => byte < 128) + 1 || packed.length;
        told[row.name].push(shownAs(row, fields(join(Uint8Array.of(8), packed.subarray(0, end)))[0][2], schema, depth));
        packed = packed.subarray(end);
      }
      continue;
    }
    const one = shownAs(row, value, schema, depth);
    if (row.repeated) told[row.name].push(one);
    else {
      if (row.oneof) for (const other of rows) if (other.oneof === row.oneof) delete told[other.name];
      told[row.name] = one;
    }
  }
  return told;
}

const zero = (row, schema) => (row.kind === "bool" ? false : row.kind === "enum" ? schema.enums[row.of]["0"] : row.wide ? "0" : 0);

function shownAs(row, value, schema, depth) {
  const isBytes = value instanceof Uint8Array;
  if (["bytes", "string", "message"].includes(row.kind) !== isBytes) throw new Malformed(`${row.name} is of another type`);
  if (row.kind === "message") return decode(value, row.of, schema, depth + 1);
  if (row.kind === "string") return new TextDecoder("utf-8", { fatal: true }).decode(value);
  if (row.kind === "bytes") return toHex(value);
  if (row.kind === "bool") return value !== 0n;
  if (row.kind === "enum") return schema.enums[row.of][String(value)] ?? Number(value);
  const signed = row.signed ? BigInt.asIntN(64, value) : value;
  return row.wide ? String(signed) : Number(signed);
}

// --------------------------------------------------------------------------------------------- Merkle

// The simple tree's root over items (RFC 6962's shape).
export async function merkleRoot(items) {
  if (!items.length) return sha256(new Uint8Array());
  let level = await Promise.all(items.map((item) => sha256(Uint8Array.of(0), item)));
  while (level.length > 1) {
    const joined = [];
    for (let at = 0; at + 1 < level.length; at += 2) joined.push(sha256(Uint8Array.of(1), level[at], level[at + 1]));
    if (level.length % 2) joined.push(level[level.length - 1]);
    level = await Promise.all(joined);
  }
  return level[0];
}
