// Checks proofs of existence with the npm package of ICS-23, given the specification as protobuf (its own is wrong).
// Reads a JSON list of cases (bytes in hex) from stdin and writes a JSON list of booleans.
"use strict";
const { ics23, verifyMembership } = require("@confio/ics23");

const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));

const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verdicts = cases.map((c) => {
  try {
    const proof = ics23.CommitmentProof.decode(unhex(c.proof));
    return verifyMembership(proof, ics23.ProofSpec.decode(unhex(c.spec)), unhex(c.root), unhex(c.key), unhex(c.value));
  } catch (error) {
    return false;
  }
});
process.stdout.write(JSON.stringify(verdicts));
