// Who decides: validators, proposals; and bundles, which both machines carry out or neither.

import { addresses, find, part, read, schema, validators } from "./api.js";
import { events } from "./chain.js";
import { clean, facts, h, link, section, table } from "./dom.js";
import { prover } from "./proof.js";
import { account, hash, height, money, mono, number, ofNs, percent, short, tree, when } from "./text.js";

// ---------------------------------------------------------------------------------------- validators

function uptime(one, latest) {
  const asked = Math.min(Number(one.signing?.window ?? 0), Math.max(0, Number(latest) - Number(one.signing?.start_height ?? 0)));
  if (!asked) return h("span", { class: "hint" }, "not asked yet");
  const signed = Math.max(0, asked - Number(one.signing.missed_in_window));
  return [h("meter", { min: 0, max: 1, low: 0.5, high: 0.95, optimum: 1, value: (signed / asked).toFixed(4), "aria-hidden": "true" }),
    `${((100 * signed) / asked).toFixed(2)} %`];
}

const state = (one) => (one.jailed ? h("span", { class: "bad" }, one.signing?.tombstoned ? "out for ever" : "jailed")
  : clean(one.status.replace("BOND_STATUS_", "").toLowerCase(), 20));

export async function all(page) {
  const [known, running] = await Promise.all([validators(page.signal), read("/chain/consensus-status", {}, page.signal)]);
  const votes = new Map(running.votes.map((one) => [one.validator_address.toLowerCase(), one]));
  const total = known.list.reduce((sum, one) => sum + Number(one.power), 0);
  const voted = (one) => {
    const vote = addresses(one).map((address) => votes.get(address)).find(Boolean);
    if (!vote) return h("span", { class: "hint" }, "does not vote");
    const said = vote.precommit ?? vote.prevote;
    return said === null ? h("span", { class: "hint" }, "not yet") : said === "nil" ? h("span", { class: "wait" }, "nil") : h("span", { class: "good" }, "for the block");
  };
  const rows = known.list.toSorted((one, other) => Number(other.power) - Number(one.power)).map((one) => [
    link("validator", one.consensus_address, clean(one.moniker, 40) || "without a name"), [number(one.power), " ", h("span", { class: "hint" }, percent(one.power, total))], voted(one),
    uptime(one, running.height - 1), number(one.signing?.missed_total ?? 0), money(one.tokens), percent(one.commission_rate, 1), state(one)]);
  page.show("Validators", section("",
    table("Validators by power", [["Validator"], ["Power", "number"], [`Votes at ${running.height}`], ["Uptime"], ["Missed", "number"], ["Stake", "number wide"], ["Commission", "number wide"], ["State"]], rows, "There is no validator."),
    h("p", { class: "hint" }, "Uptime: blocks signed of the last ones that count for jailing. Votes: of the running round, as this node has them.")));
}

export async function validator(page, id) {
  const hex = id.toLowerCase();
  const told = (await find(`/v1/validators/by-consensus-address/${part(hex)}`, {}, page.signal)) ?? (await find(`/v1/validators/${part(hex)}`, {}, page.signal));
  const one = told?.validator;
  if (!one) return page.absent(`There is no validator ${clean(id, 80)}.`);
  const [slashes, delegations, blocks] = await Promise.all([
    find(`/v1/validators/${one.operator}/slashes`, { limit: 20 }, page.signal), find("/v1/delegations", { operator: one.operator, limit: 20 }, page.signal),
    read("/chain/blocks", { limit: 30 }, page.signal)]);
  const proposed = blocks.blocks.filter((block) => addresses(one).includes(block.proposer_address.toLowerCase()));
  page.show(one.moniker || "A validator without a name",
    section("Validator", facts(
      ["Operator", account(one.operator)], ["Consensus address", mono(one.consensus_address)],
      one.rotations?.length ? ["Had before", one.rotations.map((past) => h("div", {}, mono(past.address), " until ", height(Number(past.height) + 1)))] : null, ["State", state(one)], ["Power", number(one.power)],
      ["Stake", money(one.tokens)], ["Commission", percent(one.commission_rate, 1), ` (at most ${percent(one.commission_max_rate, 1)})`], ["Uptime", uptime(one, told.height)],
      ["Missed blocks", `${number(one.signing?.missed_in_window ?? 0)} of the last ${number(one.signing?.window ?? 0)} (jailed above ${number(one.signing?.missed_max ?? 0)}), ${number(one.signing?.missed_total ?? 0)} in all`],
      ofNs(one.signing?.jailed_until_time_ns ?? 0) ? ["Jailed until", when(ofNs(one.signing.jailed_until_time_ns))] : null)),
    section("Proposed of the last 30 blocks", proposed.length ? h("p", {}, proposed.map((block) => [height(block.height), " "])) : h("p", { class: "hint" }, "None.")),
    section("Delegations", table("Delegations", [["Delegator"], ["Stake", "number"]], (delegations?.delegations ?? []).map((given) => [account(given.delegator), money(given.amount)]), "None.")),
    slashes?.slashes?.length ? section("Slashes", tree(slashes.slashes)) : "");
}

// ----------------------------------------------------------------------------------------- proposals

const status = (one) => clean(one.status.replace("PROPOSAL_STATUS_", "").replaceAll("_", " ").toLowerCase(), 40);

export async function proposals(page, after) {
  const told = await read("/v1/proposals", { limit: 50, after: after ?? "" }, page.signal);
  page.show("Proposals", section("", table("Proposals", [["Number", "number"], ["Title"], ["State"], ["Voting ends", "wide"]],
    told.proposals.map((one) => [link("proposal", one.id, one.id), clean(one.title, 140), status(one), ofNs(one.voting_end_time_ns) ? when(ofNs(one.voting_end_time_ns)) : "-"]),
    "There is no proposal here."), Number(told.next_after) ? h("p", {}, link("proposals", told.next_after, "More")) : ""));
}

export async function proposal(page, id) {
  const path = `/v1/proposals/${part(id)}`;
  const told = /^\d{1,18}$/.test(id) ? await find(path, {}, page.signal) : null;
  const one = told?.proposal;
  if (!one) return page.absent(`There is no proposal ${clean(id, 80)}.`);
  const [tally, votes] = await Promise.all([find(`${path}/tally`, {}, page.signal), find(`${path}/votes`, { limit: 50 }, page.signal)]);
  const counted = tally?.tally ?? tally?.result ?? one.result;
  page.show(`Proposal ${one.id}: ${one.title}`,
    section("", facts(["State", status(one)], ["By", account(one.proposer)], ["Submitted", when(ofNs(one.submit_time_ns)), " at ", height(one.submit_height)], ["Deposit", money(told.deposit)],
      ofNs(one.voting_start_time_ns) ? ["Voting", when(ofNs(one.voting_start_time_ns)), " to ", when(ofNs(one.voting_end_time_ns))] : null,
      ["Summary", h("span", { class: "said" }, one.summary)])),
    counted ? section("Votes", facts(...["yes", "no", "no_with_veto", "abstain"].map((name) => [name.replaceAll("_", " "), money(counted[name] ?? "0"), ` ${percent(counted[name] ?? 0, counted.bonded ?? 0)} of what could vote`]))) : "",
    votes?.votes?.length ? section("Who voted", table("Votes", [["Who"], ["How"]], votes.votes.map((vote) => [vote.voter ? account(vote.voter) : "", tree(vote.vote?.options ?? vote.options ?? vote)]), "Nobody yet.")) : "",
    section("What it would do", tree(one.actions)),
    prover("this proposal", path, { kind: "proposal", name: BigInt(one.id).toString(16).padStart(16, "0") }, (answer) => answer.proposal));
}

// ------------------------------------------------------------------------------------------- bundles

const machine = (described, kind) => {
  const lanes = described.lanes[kind] ?? [];
  const alone = lanes.filter((lane) => lane !== "bridge");
  return alone.length === 1 ? { chat: "chat", currency: "currency" }[alone[0]] : "both machines";
};

export async function bundles(page, after) {
  const [told, bridge] = await Promise.all([read("/v1/receipts", { limit: 50, after: after ?? "" }, page.signal), read("/v1/bridge", {}, page.signal)]);
  page.show("Bundles",
    section("Between the machines", facts(["Executed", number(bridge.bundles_executed)], ["Failed whole", number(bridge.bundles_failed)], ["Held for chat", money(bridge.held_for_chat)],
      ["In escrows", money(bridge.held_in_escrows), ` (${number(bridge.escrows_open)} open)`],
      ["Books", bridge.books_agree ? h("span", { class: "good" }, "agree") : h("span", { class: "bad" }, "do not agree")])),
    section("Bundles that are still remembered", table("Bundles, oldest first", [["Bundle"], ["Legs"], ["Outcome"], ["Height", "number"]],
      told.receipts.map((one) => [hash("bundle", one.replay_id), one.legs.slice(0, 12).map((leg) => h("span", { class: "chip" }, clean(leg.kind, 40))), ended(one), height(one.height)]), "There is none here."),
    h("p", {}, after ? link("bundles", "", "First ") : "", told.next ? link("bundles", told.next, "More") : "")));
}

const ended = (one) => (one.code ? h("span", { class: "bad" }, `leg ${one.failed_leg} failed (${clean(one.codespace, 30)} ${one.code}): nothing of it was done`) : h("span", { class: "good" }, "done whole"));

export async function bundle(page, id) {
  const path = `/v1/bundles/${part(id.toLowerCase())}`;
  const [told, described] = await Promise.all([find(path, {}, page.signal), schema()]);
  const one = told?.receipt;
  if (!one) return page.absent(`There is no bundle ${clean(id, 80)} in this state: receipts are kept for a time.`);
  const found = await find("/v1/search/txs", { query: `tx.height=${one.height}`, limit: 100, oldest_first: "true" }, page.signal);
  const carried = (found?.txs ?? []).find((tx) => tx.index === one.tx_index);
  page.show("Bundle",
    section("", facts(["Replay id", mono(one.replay_id)], ["Outcome", ended(one)], ["Height", height(one.height)], carried ? ["Transaction", hash("tx", carried.hash)] : null, ["Fee", money(one.fee_paid)], ["Gas", number(one.gas_used)])),
    section("Legs", h("div", { class: "cards" }, one.legs.slice(0, 50).map((leg, at) => h("div", { class: "card" },
      h("h2", {}, `${at + 1}. ${clean(leg.kind, 40)}`), facts(["Machine", machine(described, leg.kind)], Number(leg.amount) ? ["Amount", money(leg.amount)] : null, leg.subject ? ["About", mono(/^[0-9a-f]{40}$/.test(leg.subject) ? link("search", leg.subject, short(leg.subject)) : clean(leg.subject, 100))] : null)))),
    h("p", { class: "hint" }, "One block, all legs or none.")),
    carried ? section("What it did on both chains", events(carried.events ?? [])) : "",
    prover("this bundle", path, { kind: "bundle", name: one.replay_id }, (answer) => answer.receipt));
}
