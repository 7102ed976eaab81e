//! Records of the stores as the last commit left them, within a bound of bytes: what was not used of late goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::tree::{DIGITS, HASH, VERSION, check_page, sha256, slot};

/// Version, then content.
pub type Record = Arc<[u8]>;

const SHARDS: usize = 256; // a large map takes milliseconds to grow
const HELD_BYTES: usize = 150; // of a record's place in its map, in the queue and in the heap, measured
const SPARED_MAX: usize = 64; // used ones that are passed over for one that goes

struct Held {
    record: Option<Record>, // none: it is known to be absent
    is_used: bool,
}

fn bytes_of(key: &[u8], record: Option<&Record>) -> usize {
    HELD_BYTES + key.len() + record.map_or(0, |record| record.len())
}

pub struct Cache {
    shards: Vec<HashMap<Arc<[u8]>, Held>>,
    turns: VecDeque<Arc<[u8]>>, // the keys of all that is held
    bytes_max: usize,
    pub bytes: usize,
    pub hits: u64,
    pub misses: u64,
}

impl Cache {
    pub fn new(bytes_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| HashMap::new()).collect();
        Self { shards, turns: VecDeque::new(), bytes_max, bytes: 0, hits: 0, misses: 0 }
    }

    fn shard(&mut self, key: &[u8]) -> &mut HashMap<Arc<[u8]>, Held> {
        let ends = key.last().unwrap_or(&0) ^ key.get(key.len() / 2).unwrap_or(&0).rotate_left(4);
        &mut self.shards[usize::from(ends) % SHARDS]
    }

    /// The record, or its absence, where that is held.
    pub fn get(&mut self, key: &[u8]) -> Option<Option<Record>> {
        let found = self.shard(key).get_mut(key).map(|held| {
            held.is_used = true;
            held.record.clone()
        });
        *(if found.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        found
    }

    /// What the record is from now on; none: there is none.
    pub fn put(&mut self, key: &[u8], record: Option<Record>) {
        self.bytes += bytes_of(key, record.as_ref());
        if let Some(held) = self.shard(key).get_mut(key) {
            let before = std::mem::replace(held, Held { record, is_used: true });
            self.bytes -= bytes_of(key, before.record.as_ref());
        } else {
            let key: Arc<[u8]> = Arc::from(key);
            self.turns.push_back(key.clone());
            self.shard(&key.clone()).insert(key, Held { record, is_used: false });
        }
        let mut spared = 0;
        while self.bytes > self.bytes_max {
            let Some(key) = self.turns.pop_front() else { return };
            let shard = self.shard(&key);
            match shard.get_mut(&key) {
                Some(held) if held.is_used && spared < SPARED_MAX => {
                    held.is_used = false;
                    spared += 1;
                    self.turns.push_back(key);
                }
                _ => self.bytes -= shard.remove(&key).map_or(0, |held| bytes_of(&key, held.record.as_ref())),
            }
        }
    }

    /// What is in the slot where the key would be, or the key of the first page above it that is not held. prefix: of
    /// the store's pages.
    pub fn node(&mut self, prefix: [u8; 2], key: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let mut page_key = vec![prefix[0], prefix[1], 0];
        for byte in sha256(key) {
            for digit in [byte >> 4, byte & 15].map(usize::from) {
                let Some(record) = self.get(&page_key).flatten() else { return Err(page_key) };
                let node = slot(&record, digit);
                if node.len() != HASH {
                    return Ok(node.to_vec());
                }
                page_key[2] += 1;
                page_key.push(DIGITS[digit]);
            }
        }
        Err(page_key)
    }

    /// Put a page that was read, if it fits the one above it, which is held; whether it did.
    pub fn add(&mut self, key: &[u8], record: Record) -> bool {
        let Some((digit, above)) = key.split_last() else { return false };
        let mut above = above.to_vec();
        let Some(digit) = DIGITS.iter().position(|one| one == digit) else { return false };
        let Some(length) = above.get_mut(2).filter(|length| **length > 0) else { return false };
        *length -= 1;
        let Some(page) = self.get(&above).flatten() else { return false };
        let fits = check_page(record.get(VERSION..).unwrap_or_default())
            .is_ok_and(|(root, is_exact)| is_exact && slot(&page, digit) == root);
        if fits && self.get(key).is_none() {
            self.put(key, Some(record));
        }
        fits
    }
}
