//! Every call that tendermint-rs's client for CometBFT 0.38 offers, made once, and headers verified by its light client.
//! What was told is printed as one line of JSON.
//!
//!     calls http://HOST:PORT ws://HOST:PORT/websocket < ASKED
//!
//! ASKED is JSON: key (hex, of a record of the currency store), paid (hex, a committed transaction's id), paidAt (its
//! height), sender (as `transfer.sender` says it), txs ([async, sync, commit, two heard of by subscriptions], base64),
//! evidence (hex, protobuf: two votes).

use std::{error::Error, io::Read, time::Duration};

use base64::{engine::general_purpose::STANDARD, Engine};
use futures::StreamExt;
use serde_json::{json, to_value, Map, Value};
use tendermint::{
    block::Height, evidence::Evidence, hash::Hash, time::Time, validator::Set, Genesis,
};
use tendermint_light_client_verifier::{
    options::Options,
    types::{LightBlock, PeerId, TrustThreshold},
    ProdVerifier, Verdict, Verifier,
};
use tendermint_proto::{v0_38::types::Evidence as RawEvidence, Protobuf};
use tendermint_rpc::{
    client::CompatMode,
    event::EventData,
    query::{EventType, Query},
    Client, HttpClient, Order, Paging, SubscriptionClient, WebSocketClient, WebSocketClientUrl,
};

type Told = Map<String, Value>;
type Failure = Box<dyn Error>;

struct Asked {
    paid: Hash,
    at: Height,
    key: Vec<u8>,
    sender: String,
    txs: Vec<Vec<u8>>,
    evidence: Vec<u8>,
}

impl Asked {
    fn read() -> Result<Self, Failure> {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        let all: Value = serde_json::from_str(&text)?;
        let said = |name: &str| all[name].as_str().unwrap_or_default().to_owned();
        let txs = all["txs"].as_array().ok_or("txs is no list")?.iter();
        Ok(Self {
            paid: said("paid").parse()?,
            at: u32::try_from(all["paidAt"].as_u64().ok_or("paidAt is no number")?)?.into(),
            key: hex::decode(said("key"))?,
            sender: said("sender"),
            txs: txs
                .map(|one| STANDARD.decode(one.as_str().unwrap_or_default()))
                .collect::<Result<_, _>>()?,
            evidence: hex::decode(said("evidence"))?,
        })
    }
}

/// Keeps what a call told, or says which one failed.
macro_rules! tell {
    ($told:expr, $name:literal, $call:expr, $shown:expr) => {
        match $call.await {
            Ok(answer) => $told.insert($name.to_owned(), $shown(&answer)),
            Err(error) => return Err(format!("{}: {error}", $name).into()),
        }
    };
}

fn hex_of(data: &[u8]) -> String {
    hex::encode(data)
}

async fn calls<C: Client + Sync>(client: &C, asked: &Asked) -> Result<Told, Failure> {
    let mut told = Told::new();
    let at = asked.at;
    client.wait_until_healthy(Duration::from_secs(5)).await?;
    tell!(told, "health", client.health(), |_: &()| json!(true));
    tell!(
        told,
        "abci_info",
        client.abci_info(),
        |a: &tendermint::abci::response::Info| json!(a.last_block_height)
    );
    let path = "/store/currency/key".to_owned();
    let query = client.abci_query(Some(path), asked.key.clone(), None, true);
    tell!(
        told,
        "abci_query",
        query,
        |a: &tendermint_rpc::endpoint::abci_query::AbciQuery| {
            let ops = a
                .proof
                .as_ref()
                .map(|proof| proof.ops.clone())
                .unwrap_or_default();
            let shown: Vec<_> = ops
                .iter()
                .map(|op| json!([op.field_type, hex_of(&op.key), hex_of(&op.data)]))
                .collect();
            json!({"height": a.height, "value": hex_of(&a.value), "ops": shown})
        }
    );
    let block = client.block(at).await?;
    told.insert("block".into(), json!({
        "hash": block.block_id.hash, "computed": block.block.header.hash(), "txs": block.block.data.iter().map(|tx| hex_of(tx)).collect::<Vec<_>>(),
    }));
    tell!(
        told,
        "block_by_hash",
        client.block_by_hash(block.block_id.hash),
        |a: &tendermint_rpc::endpoint::block_by_hash::Response| {
            json!(a.block.as_ref() == Some(&block.block))
        }
    );
    tell!(
        told,
        "latest_block",
        client.latest_block(),
        |a: &tendermint_rpc::endpoint::block::Response| json!(a.block.header.height)
    );
    tell!(
        told,
        "header",
        client.header(at),
        |a: &tendermint_rpc::endpoint::header::Response| json!(a.header == block.block.header)
    );
    tell!(
        told,
        "header_by_hash",
        client.header_by_hash(block.block_id.hash),
        |a: &tendermint_rpc::endpoint::header_by_hash::Response| {
            json!(a.header.as_ref() == Some(&block.block.header))
        }
    );
    tell!(
        told,
        "block_results",
        client.block_results(at),
        |a: &tendermint_rpc::endpoint::block_results::Response| {
            json!({"codes": a.txs_results.iter().flatten().map(|one| one.code.value()).collect::<Vec<_>>(), "app_hash": hex_of(a.app_hash.as_bytes())})
        }
    );
    tell!(
        told,
        "latest_block_results",
        client.latest_block_results(),
        |a: &tendermint_rpc::endpoint::block_results::Response| json!(a.height)
    );
    let next = at.value() + 3;
    let of_blocks = Query::gte("block.height", at.value()).and_lte("block.height", next);
    tell!(
        told,
        "block_search",
        client.block_search(of_blocks, 2, 2, Order::Ascending),
        |a: &tendermint_rpc::endpoint::block_search::Response| {
            json!([
                a.total_count,
                a.blocks
                    .iter()
                    .map(|one| one.block.header.height)
                    .collect::<Vec<_>>()
            ])
        }
    );
    tell!(
        told,
        "blockchain",
        client.blockchain(Height::from(1_u32), at),
        |a: &tendermint_rpc::endpoint::blockchain::Response| {
            json!(a
                .block_metas
                .iter()
                .map(|one| one.header.height)
                .collect::<Vec<_>>())
        }
    );
    tell!(
        told,
        "commit",
        client.commit(at),
        |a: &tendermint_rpc::endpoint::commit::Response| json!([
            a.canonical,
            a.signed_header.commit.block_id.hash
        ])
    );
    tell!(
        told,
        "latest_commit",
        client.latest_commit(),
        |a: &tendermint_rpc::endpoint::commit::Response| json!(a.signed_header.commit.height)
    );
    tell!(
        told,
        "consensus_params",
        client.consensus_params(at),
        |a: &tendermint_rpc::endpoint::consensus_params::Response| json!(
            a.consensus_params.block.max_bytes
        )
    );
    tell!(
        told,
        "latest_consensus_params",
        client.latest_consensus_params(),
        |a: &tendermint_rpc::endpoint::consensus_params::Response| json!(a.block_height)
    );
    // Its parser of votes is older than the extension's fingerprint that 0.38 puts into each: it reads none but nil.
    let state = match client.consensus_state().await {
        Ok(answer) => json!(answer.round_state.height_round_step.height),
        Err(error) => json!(error
            .to_string()
            .lines()
            .find(|line| line.contains("expected"))),
    };
    told.insert("consensus_state".into(), state);
    for (name, paging) in [
        ("validators", Paging::Default),
        ("validators (all)", Paging::All),
        (
            "validators (a page)",
            Paging::Specific {
                page_number: 1_usize.into(),
                per_page: 1_u8.into(),
            },
        ),
    ] {
        let answer = client.validators(at, paging).await?;
        told.insert(
            name.into(),
            json!([
                answer.total,
                answer.validators[0].address,
                answer.validators[0].power.value()
            ]),
        );
    }
    tell!(told, "genesis", client.genesis::<Value>(), |a: &Genesis<
        Value,
    >| json!([
        a.chain_id,
        a.validators.len()
    ]));
    let mut whole = Vec::new();
    let mut chunks = client.genesis_chunked_stream().await;
    while let Some(chunk) = chunks.next().await {
        whole.extend(chunk?);
    }
    let read: Value = serde_json::from_slice(&whole)?;
    told.insert("genesis_chunked_stream".into(), read["chain_id"].clone());
    tell!(
        told,
        "net_info",
        client.net_info(),
        |a: &tendermint_rpc::endpoint::net_info::Response| json!([a.listening, a.n_peers])
    );
    tell!(
        told,
        "status",
        client.status(),
        |a: &tendermint_rpc::endpoint::status::Response| to_value(a).unwrap()
    );
    tell!(
        told,
        "tx",
        client.tx(asked.paid, true),
        |a: &tendermint_rpc::endpoint::tx::Response| {
            json!({"height": a.height, "code": a.tx_result.code.value(), "tx": hex_of(&a.tx), "root": a.proof.as_ref().map(|one| one.root_hash), "data_hash": block.block.header.data_hash})
        }
    );
    let paid = Query::eq("transfer.sender", asked.sender.clone()).and_lte("tx.height", at.value());
    tell!(
        told,
        "tx_search",
        client.tx_search(paid, true, 1, 10, Order::Descending),
        |a: &tendermint_rpc::endpoint::tx_search::Response| {
            json!([
                a.total_count,
                a.txs.iter().map(|one| one.hash).collect::<Vec<_>>()
            ])
        }
    );
    Ok(told)
}

async fn sends<C: Client + Sync>(
    client: &C,
    asked: &Asked,
    told: &mut Told,
) -> Result<(), Failure> {
    let txs = &asked.txs;
    tell!(
        told,
        "broadcast_tx_async",
        client.broadcast_tx_async(txs[0].clone()),
        |a: &tendermint_rpc::endpoint::broadcast::tx_async::Response| json!([
            a.code.value(),
            a.hash
        ])
    );
    tell!(
        told,
        "broadcast_tx_sync",
        client.broadcast_tx_sync(txs[1].clone()),
        |a: &tendermint_rpc::endpoint::broadcast::tx_sync::Response| json!([
            a.code.value(),
            a.hash
        ])
    );
    tell!(
        told,
        "broadcast_tx_commit",
        client.broadcast_tx_commit(txs[2].clone()),
        |a: &tendermint_rpc::endpoint::broadcast::tx_commit::Response| {
            json!([
                a.check_tx.code.value(),
                a.tx_result.code.value(),
                a.hash,
                a.height
            ])
        }
    );
    Ok(())
}

async fn hears(client: &WebSocketClient, asked: &Asked, told: &mut Told) -> Result<(), Failure> {
    let sent = Query::from(EventType::Tx).and_eq("transfer.sender", asked.sender.clone());
    let mut payments = client.subscribe(sent.clone()).await?;
    let mut blocks = client.subscribe(EventType::NewBlock.into()).await?;
    let mut heard = Vec::new();
    for tx in &asked.txs[3..] {
        client.broadcast_tx_sync(tx.clone()).await?;
        let event = payments.next().await.ok_or("no event of a payment")??;
        let EventData::Tx { tx_result } = event.data else {
            return Err("not a transaction's event".into());
        };
        heard.push(hex_of(&tx_result.tx));
    }
    let mut heights = Vec::new();
    while heights.len() < 3 {
        let event = blocks.next().await.ok_or("no event of a block")??;
        let EventData::NewBlock {
            block: Some(block), ..
        } = event.data
        else {
            return Err("not a block's event".into());
        };
        heights.push(block.header.height.value());
    }
    client.unsubscribe(sent).await?;
    told.insert("subscribe".into(), json!([heard, heights]));
    Ok(())
}

async fn light_block<C: Client + Sync>(
    client: &C,
    height: u64,
    peer: PeerId,
) -> Result<LightBlock, Failure> {
    let at = Height::try_from(height)?;
    let signed = client.commit(at).await?.signed_header;
    let proposer = signed.header.proposer_address;
    let set = Set::with_proposer(
        client.validators(at, Paging::All).await?.validators,
        proposer,
    )?;
    let next = Set::without_proposer(
        client
            .validators(at.increment(), Paging::All)
            .await?
            .validators,
    );
    Ok(LightBlock::new(signed, set, next, peer))
}

/// Along the chain one by one, then from the first to the last in one step, then what must not be believed.
async fn verifies<C: Client + Sync>(client: &C, last: u64) -> Result<Value, Failure> {
    let peer = client.status().await?.node_info.id;
    let mut chain = Vec::new();
    for height in 1..=last {
        chain.push(light_block(client, height, peer).await?);
    }
    let options = Options {
        trust_threshold: TrustThreshold::ONE_THIRD,
        trusting_period: Duration::from_secs(3_600),
        clock_drift: Duration::from_secs(5),
    };
    let judge = |trusted: &LightBlock, one: &LightBlock| {
        ProdVerifier::default().verify_update_header(
            one.as_untrusted_state(),
            trusted.as_trusted_state(),
            &options,
            Time::now(),
        )
    };
    let one_by_one = chain
        .windows(2)
        .filter(|two| judge(&two[0], &two[1]) == Verdict::Success)
        .count();
    let (first, newest) = (&chain[0], &chain[chain.len() - 1]);
    let mut refused = Vec::new();
    let mut lie = |what: &str, change: &dyn Fn(&mut LightBlock)| {
        let mut told = newest.clone();
        change(&mut told);
        if matches!(judge(first, &told), Verdict::Invalid(_)) {
            refused.push(what.to_owned());
        }
    };
    lie("another app hash", &|one| {
        one.signed_header.header.app_hash = vec![7; 32].try_into().unwrap()
    });
    lie("another header's signatures", &|one| {
        one.signed_header.commit = first.signed_header.commit.clone()
    });
    lie("a later time", &|one| {
        one.signed_header.header.time =
            (one.signed_header.header.time + Duration::from_secs(1)).unwrap()
    });
    Ok(
        json!({"one_by_one": one_by_one, "in_one_step": judge(first, newest) == Verdict::Success, "refused": refused}),
    )
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().collect();
    let asked = Asked::read()?;
    let http = HttpClient::new(words[1].as_str())?;
    let version = http.status().await?.node_info.version;
    let mode = CompatMode::from_version(version)?;
    let url: WebSocketClientUrl = words[2].parse()?;
    let (socket, driver) = WebSocketClient::builder(url)
        .compat_mode(mode)
        .build()
        .await?;
    let drives = tokio::spawn(driver.run());

    let mut told = Told::new();
    told.insert("mode".into(), json!(mode.to_string()));
    told.insert(
        "websocket".into(),
        Value::Object(calls(&socket, &asked).await?),
    );
    let mut by_http = calls(&http, &asked).await?;
    sends(&http, &asked, &mut by_http).await?;
    hears(&socket, &asked, &mut by_http).await?;
    let last = http
        .status()
        .await?
        .sync_info
        .latest_block_height
        .value()
        .min(12);
    told.insert("light".into(), verifies(&http, last).await?);
    told.insert("verified".into(), json!(last));
    let unknown = http
        .tx(Hash::Sha256([0; 32]), false)
        .await
        .err()
        .map(|error| error.to_string());
    told.insert(
        "refused".into(),
        json!([
            http.block(Height::try_from(1_000_000_000_u64)?)
                .await
                .err()
                .map(|error| error.to_string()),
            unknown
        ]),
    );
    // Last: the only validator signed twice, and nothing comes after it.
    let evidence = <Evidence as Protobuf<RawEvidence>>::decode_vec(&asked.evidence)?;
    let answer = http.broadcast_evidence(evidence).await?;
    by_http.insert("broadcast_evidence".into(), json!(answer.hash));
    told.insert("http".into(), Value::Object(by_http));
    socket.close()?;
    drives.await??;
    println!("{}", Value::Object(told));
    Ok(())
}
