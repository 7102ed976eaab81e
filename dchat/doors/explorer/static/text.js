// Amounts, times, hashes and addresses as people read them.

import { clean, h, link } from "./dom.js";

const SYMBOLS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const STEPS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const WORD = "dchat";

export const short = (hex) => (hex.length > 20 ? `${hex.slice(0, 8)}…${hex.slice(-6)}` : hex);
export const number = (text) => String(text).replace(/\B(?=(\d{3})+$)/g, ",");

// udchat, as a number of 64 bits in text, as DCHAT.
export function money(text) {
  const whole = String(text);
  if (!/^-?\d+$/.test(whole)) return clean(whole, 60);
  const value = BigInt(whole);
  const sign = value < 0n ? "-" : "";
  const size = value < 0n ? -value : value;
  const rest = String(size % 1_000_000n).padStart(6, "0").replace(/0+$/, "");
  return `${sign}${number(size / 1_000_000n)}${rest ? `.${rest}` : ""} DCHAT`;
}

export function percent(part, whole) {
  const of = Number(whole);
  return of > 0 ? `${((100 * Number(part)) / of).toFixed(2)} %` : "-";
}

export const ofNs = (ns) => (String(ns) === "0" ? null : new Date(Number(BigInt(ns) / 1_000_000n)));

export function when(moment) {
  const date = moment instanceof Date ? moment : new Date(String(moment).replace(/(\.\d{3})\d+/, "$1"));
  if (Number.isNaN(date.getTime())) return "-";
  const text = date.toISOString();
  const parts = [text.slice(0, 10), `${text.slice(11, 19)} UTC`].map((part) => h("span", { class: "whole" }, part));
  return h("time", { datetime: text }, parts[0], " ", parts[1]);
}

export function ago(moment) {
  const date = moment instanceof Date ? moment : new Date(String(moment).replace(/(\.\d{3})\d+/, "$1"));
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  if (Number.isNaN(seconds)) return "-";
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

function checksum(values) {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    STEPS.forEach((step, at) => { if ((top >>> at) & 1) sum ^= step; });
  }
  return sum >>> 0;
}

const EXPANDED = [...[...WORD].map((c) => c.charCodeAt(0) >> 5), 0, ...[...WORD].map((c) => c.charCodeAt(0) & 31)];

// 20 bytes in hex as dchat1...; what is none is left as it is.
export function address(hex) {
  if (!/^[0-9a-f]{40}$/i.test(hex)) return hex;
  const groups = [];
  let held = 0;
  let bits = 0;
  for (let at = 0; at < 40; at += 2) {
    held = (held << 8) | parseInt(hex.slice(at, at + 2), 16);
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      groups.push((held >>> bits) & 31);
      held &= (1 << bits) - 1;
    }
  }
  if (bits) groups.push((held << (5 - bits)) & 31);
  const sum = checksum([...EXPANDED, ...groups, 0, 0, 0, 0, 0, 0]) ^ 1;
  const tail = [0, 1, 2, 3, 4, 5].map((at) => (sum >>> (5 * (5 - at))) & 31);
  return `${WORD}1${[...groups, ...tail].map((value) => SYMBOLS[value]).join("")}`;
}

// The hex of a dchat1... address; null: it is none.
export function hexOf(text) {
  const said = text.toLowerCase();
  if (!/^dchat1[a-z0-9]{38}$/.test(said)) return null;
  const values = [...said.slice(6)].map((c) => SYMBOLS.indexOf(c));
  if (values.includes(-1) || checksum([...EXPANDED, ...values]) !== 1) return null;
  let hex = "";
  let held = 0;
  let bits = 0;
  for (const value of values.slice(0, -6)) {
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      hex += ((held >>> bits) & 255).toString(16).padStart(2, "0");
      held &= (1 << bits) - 1;
    }
  }
  return hex;
}

export const mono = (text) => h("span", { class: "mono" }, text);
export const hash = (kind, hex) => h("span", { class: "mono" }, link(kind, hex.toLowerCase(), short(hex.toLowerCase()), hex));
export const account = (hex) => {
  const text = address(hex);
  return h("span", { class: "mono" }, link("account", text, text.length > 24 ? `${text.slice(0, 14)}…${text.slice(-6)}` : text, text));
};
export const height = (value) => link("block", value, number(value));
export const chips = (counts) =>
  Object.entries(counts).filter(([, count]) => Number(count)).map(([name, count]) => h("span", { class: "chip" }, `${name} ${number(count)}`));

// Bytes in hex as the text that they are; null where they are none.
export function words(hex) {
  if (!/^([0-9a-f]{2})+$/i.test(hex) || hex.length > 40_000) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(hex.match(/../g), (two) => parseInt(two, 16)));
  } catch {
    return null;
  }
}

const ACCOUNTS = new Set(["address", "author", "owner", "sender", "recipient", "payer", "payee", "granter", "grantee", "creator", "holder",
  "delegator", "operator", "member", "from", "to", "fee_granter", "proposer", "voter", "depositor", "attester", "funder", "guardian",
  "beneficiary", "party", "peer", "source", "destination", "identity"]);
const AMOUNTS = new Set(["amount", "balance", "fee", "fee_paid", "join_price", "deposit", "udchat", "locked"]);
const TEXTS = new Set(["content", "memo"]);
const DEPTH_MAX = 12;
const ENTRIES_MAX = 60;

// Any JSON of the door: names that we know become links, amounts and text; depth and number are bounded.
export function tree(value, name = "", depth = 0) {
  if (value === null || value === undefined || value === "") return h("span", { class: "hint" }, "none");
  if (typeof value !== "object") return leaf(String(value), name);
  if (depth > DEPTH_MAX) return "…";
  const entries = Object.entries(value);
  const shown = entries.slice(0, ENTRIES_MAX);
  const more = entries.length > shown.length ? h("p", { class: "hint" }, `and ${entries.length - shown.length} more`) : null;
  if (!entries.length) return h("span", { class: "hint" }, "none");
  if (Array.isArray(value)) return [h("ol", {}, shown.map(([, one]) => h("li", {}, tree(one, name, depth + 1)))), more];
  return [h("dl", { class: depth ? "tree" : null }, shown.map(([key, one]) => [h("dt", {}, clean(key, 80)), h("dd", {}, tree(one, key, depth + 1))])), more];
}

function leaf(text, name) {
  if (/^[0-9a-f]{40}$/.test(text)) {
    if (name === "channel_id") return hash("channel", text);
    if (ACCOUNTS.has(name)) return account(text);
  }
  if (hexOf(text)) return account(hexOf(text));
  if (name === "replay_id" && /^[0-9a-f]{64}$/.test(text)) return hash("bundle", text);
  if (AMOUNTS.has(name) && /^\d+$/.test(text)) return money(text);
  if (name.endsWith("_ns") && /^\d{17,20}$/.test(text)) return when(ofNs(text));
  if (TEXTS.has(name)) {
    const said = words(text) ?? text;
    return h("span", { class: "said" }, said);
  }
  return /^[0-9a-f]{16,}$/i.test(text) ? mono(clean(text, 200)) : h("span", { class: "said" }, text);
}
