// What the node's HTTP door answers. Bounded in time and size; a refusal is an error with the door's own sentence.

export const ANSWER_MAX = 9_000_000; // characters: the door's own largest
const PATIENCE_MS = 20_000;

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function read(path, asked = {}, signal = undefined) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(asked)) if (value !== undefined && value !== "") url.searchParams.set(name, value);
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let answer;
  let text;
  try {
    answer = await fetch(url, { signal: signal ? AbortSignal.any([signal, patience]) : patience, redirect: "error", cache: "no-cache" });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(patience.aborted ? "The node did not answer in time." : "The node cannot be reached: is it running?", 0);
  }
  if (text.length > ANSWER_MAX) throw new Refused("The answer is larger than this page reads.", 0);
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    throw new Refused(`The node answered ${answer.status} without JSON.`, answer.status);
  }
  if (!answer.ok) throw new Refused(String(told?.error ?? `The node answered ${answer.status}.`), answer.status);
  return told;
}

// null where there is no such thing, or the text is none that such a thing could have.
export async function find(path, asked, signal) {
  try {
    return await read(path, asked, signal);
  } catch (error) {
    if (error instanceof Refused && (error.status === 404 || error.status === 400)) return null;
    throw error;
  }
}

// encodeURIComponent leaves dots, of which a path of dots alone would be another path.
export const part = (text) => encodeURIComponent(text).replace(/^\.+$/, (dots) => "%2E".repeat(dots.length));

let described;

// Fields of records, keys and lanes, as the node's schemas have them.
export function schema() {
  described ??= read(new URL("schema.json", import.meta.url).pathname).catch((error) => {
    described = undefined;
    throw error;
  });
  return described;
}

let chosen = { at: 0, names: new Map(), list: [] };

// By which a validator is known: its consensus key's address, and those of keys that it had before.
export const addresses = (one) => [one.consensus_address, ...(one.rotations ?? []).map((past) => past.address)];

// Validators with their monikers, by consensus address (lower case); read anew each 10 s.
export async function validators(signal) {
  if (Date.now() - chosen.at > 10_000) {
    const list = [];
    let after = "";
    for (let page = 0; page < 10; page += 1) {
      const told = await read("/v1/validators", { limit: 100, after }, signal);
      list.push(...told.validators);
      after = told.validators.at(-1)?.operator ?? "";
      if (told.validators.length < 100) break;
    }
    chosen = { at: Date.now(), list, names: new Map(list.flatMap((one) => addresses(one).map((address) => [address, one]))) };
  }
  return chosen;
}
