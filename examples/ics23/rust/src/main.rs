//! Verifies what a dchat node answered about one record, with the crate `ics23` of the Cosmos chains and nothing of ours.
//!
//!     curl "localhost:7071/v1/records/currency/61ADDRESS?prove=true" | cargo run -q -- currency 61ADDRESS APP_HASH
//!
//! The steps, and where APP_HASH comes from: docs/proofs.md. Prints the value in hex, or "absent"; exit code 1: not proved.

use std::io::Read;
use std::process::ExitCode;

use ics23::{commitment_proof::Proof, CommitmentProof, HostFunctionsManager};
use prost::Message;
use serde_json::Value;

const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// One operation: an encoded CommitmentProof.
fn proof(told: &Value, number: usize, kind: &str) -> Result<CommitmentProof, String> {
    let op = &told["proof"]["ops"]["ops"][number];
    if op["type"] != kind {
        return Err(format!("operation {number} is not of type {kind}"));
    }
    let data = hex::decode(op["data"].as_str().unwrap_or("")).map_err(|error| error.to_string())?;
    CommitmentProof::decode(data.as_slice()).map_err(|error| error.to_string())
}

/// The record's value; None: it is shown to be absent.
fn verified(told: &Value, store: &str, key: &[u8], app_hash: Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let upper = proof(told, 1, "ics23:simple")?;
    let lower = proof(told, 0, "ics23:smt")?;
    let Some(Proof::Exist(shown)) = &upper.proof else {
        return Err("the store's root is not shown to exist".into());
    };
    let root = shown.value.clone();
    let (simple, smt) = (ics23::tendermint_spec(), ics23::smt_spec());
    if !ics23::verify_membership::<HostFunctionsManager>(&upper, &simple, &app_hash, store.as_bytes(), &root) {
        return Err("the store's root is not under the app hash".into());
    }
    let Some(text) = told.get("value").and_then(Value::as_str) else {
        return match ics23::verify_non_membership::<HostFunctionsManager>(&lower, &smt, &root, key) {
            true => Ok(None),
            false => Err("the record is not shown to be absent".into()),
        };
    };
    let value = hex::decode(text).map_err(|error| error.to_string())?;
    match ics23::verify_membership::<HostFunctionsManager>(&lower, &smt, &root, key, &value) {
        true => Ok(Some(value)),
        false => Err("the record is not under the store's root".into()),
    }
}

fn run() -> Result<String, String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, key, app_hash] = words.as_slice() else {
        return Err("usage: STORE KEY APP_HASH < answer.json (key and hash in hex)".into());
    };
    let key = hex::decode(key).map_err(|error| error.to_string())?;
    let app_hash = hex::decode(app_hash).map_err(|error| error.to_string())?;
    if app_hash.len() != 32 {
        return Err("an app hash has 64 hex characters".into());
    }
    let input = std::io::stdin().take(ANSWER_BYTES_MAX);
    let told: Value = serde_json::from_reader(input).map_err(|error| error.to_string())?;
    Ok(match verified(&told, store, &key, app_hash)? {
        Some(value) => hex::encode(value),
        None => "absent".into(),
    })
}

fn main() -> ExitCode {
    match run() {
        Ok(line) => println!("{line}"),
        Err(why) => {
            eprintln!("not proved: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
