//! One update of a sparse Merkle tree in pages of four levels: what `chain/state/smt.py` says, page for page.
//!
//! The names are those of that file, which is the reference; so is what happens to a record that nobody could have
//! stored. A node is a slice: empty, 32 bytes an inner hash, longer a leaf (hash ‖ key).

use sha2::{Digest, Sha256};

use crate::cache::{Cache, Record};

pub const HASH: usize = 32;
pub const VERSION: usize = 8;
const QUARTERS: usize = 4;
const PARTS: usize = 20;
const KEY_MAX: usize = 255 - HASH; // a leaf's length is one byte of its page's record
const DIGITS_MAX: usize = 2 * HASH;
pub const DIGITS: &[u8; 16] = b"0123456789abcdef";
const DELTA_TAG: u8 = 0xff;
const PLACED_MAX: usize = 512; // pages that are held, in one call: below 1 ms
const EMPTY_HASH: [u8; HASH] = [0; HASH];

/// A record that does not fit; the text is the reference's.
#[derive(Debug, PartialEq, Eq)]
pub struct Corrupt(pub String);

/// What is kept in a part of a page.
#[derive(Clone)]
enum Part {
    /// Of a quarter: to be computed. Of a slot: empty.
    Nothing,
    /// Where the page's record has it.
    Stored(u32, u8),
    Inner([u8; HASH]),
    Leaf(Vec<u8>),
}

/// A node that is being computed.
#[derive(Clone, Copy)]
enum Node<'a> {
    Slice(&'a [u8]),
    Inner([u8; HASH]),
}

impl Node<'_> {
    fn slice(&self) -> &[u8] {
        match self {
            Node::Slice(slice) => slice,
            Node::Inner(hash) => hash,
        }
    }

    fn part(&self) -> Part {
        match self {
            Node::Slice([]) => Part::Nothing,
            Node::Slice(slice) => Part::Leaf(slice.to_vec()),
            Node::Inner(hash) => Part::Inner(*hash),
        }
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; HASH] {
    Sha256::digest(bytes).into()
}

fn hash_part(node: &[u8]) -> &[u8] {
    &node[..node.len().min(HASH)]
}

fn key_part(node: &[u8]) -> &[u8] {
    node.get(HASH..).unwrap_or_default()
}

fn inner<'a>(left: &[u8], right: &[u8]) -> Node<'a> {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(hash_part(left));
    hash.update(hash_part(right));
    Node::Inner(hash.finalize().into())
}

/// Empty over nothing, the leaf itself over a lone leaf, else an inner hash.
fn join<'a>(left: Node<'a>, right: Node<'a>) -> Node<'a> {
    match (left.slice(), right.slice()) {
        ([], one) if one.len() != HASH => right,
        (one, []) if one.len() != HASH => left,
        ([], one) => inner(&EMPTY_HASH, one),
        (one, []) => inner(one, &EMPTY_HASH),
        (one, other) => inner(one, other),
    }
}

fn join_four<'a>(nodes: [Node<'a>; 4]) -> Node<'a> {
    let [a, b, c, d] = nodes;
    join(join(a, b), join(c, d))
}

/// 4 quarters, then 16 slots, over the content of a record.
struct Page<R> {
    record: Option<R>,
    start: usize,
    parts: [Part; PARTS],
}

impl<R: AsRef<[u8]>> Page<R> {
    fn empty() -> Self {
        Self { record: None, start: 0, parts: [const { Part::Nothing }; PARTS] }
    }

    /// start: of the page in `record`.
    fn decode(record: R, start: usize) -> Result<Self, Corrupt> {
        let mut page = Self::empty();
        page.start = start;
        let content = record.as_ref().get(start..).unwrap_or_default();
        let mut at = PARTS;
        for (part, &length) in page.parts.iter_mut().zip(content) {
            if length > 0 {
                *part = Part::Stored(u32::try_from(at).unwrap_or(u32::MAX), length);
                at += usize::from(length);
            }
        }
        if at != content.len() {
            let text = format!("a page of the tree has {} bytes, and says {at}", content.len());
            return Err(Corrupt(text));
        }
        page.record = Some(record);
        Ok(page)
    }

    fn content(&self) -> &[u8] {
        self.record.as_ref().and_then(|record| record.as_ref().get(self.start..)).unwrap_or_default()
    }

    fn part(&self, part: usize) -> &[u8] {
        self.bytes_of(&self.parts[part])
    }

    /// Of a part that the page has, or had.
    fn bytes_of<'a>(&'a self, part: &'a Part) -> &'a [u8] {
        match part {
            Part::Nothing => &[],
            Part::Stored(at, length) => {
                let at = *at as usize;
                &self.content()[at..at + usize::from(*length)]
            }
            Part::Inner(hash) => hash,
            Part::Leaf(node) => node,
        }
    }

    fn four(&self, at: usize) -> [Node<'_>; 4] {
        [0, 1, 2, 3].map(|number| Node::Slice(self.part(at + number)))
    }

    /// The node at the top; computes the quarters that are missing.
    fn root(&mut self) -> Part {
        for quarter in 0..QUARTERS {
            if matches!(self.parts[quarter], Part::Nothing) {
                self.parts[quarter] = join_four(self.four(QUARTERS + 4 * quarter)).part();
            }
        }
        join_four(self.four(0)).part()
    }

    /// Appends the page's record.
    fn encode(&self, record: &mut Vec<u8>) {
        let parts: [&[u8]; PARTS] = std::array::from_fn(|number| {
            let part = self.part(number);
            if number < QUARTERS && part.len() != HASH { &[] } else { part }
        });
        record.extend(parts.iter().map(|part| low_byte(part.len())));
        for part in parts {
            record.extend_from_slice(part);
        }
    }
}

fn slot_of(digit: &u8) -> Option<usize> {
    DIGITS.iter().position(|one| one == digit).map(|number| QUARTERS + number)
}

/// What a record (version, then a page that was checked) has in that slot.
pub fn slot(record: &[u8], digit: usize) -> &[u8] {
    let content = record.get(VERSION..).unwrap_or_default();
    let lengths = content.get(..=QUARTERS + digit).unwrap_or_default();
    let end = lengths.iter().fold(PARTS, |at, &one| at + usize::from(one));
    let length = lengths.last().map_or(0, |&one| usize::from(one));
    content.get(end - length..end).unwrap_or_default()
}

/// Of a length that is below 256, as every part's is.
fn low_byte(length: usize) -> u8 {
    u8::try_from(length).expect("a part of a page has at most 255 bytes")
}

/// The root of a page that was read, and whether its record is what `encode_page` makes of it.
pub fn check_page(content: &[u8]) -> Result<([u8; HASH], bool), Corrupt> {
    let mut page = Page::decode(content, 0)?;
    for quarter in &mut page.parts[..QUARTERS] {
        *quarter = Part::Nothing;
    }
    let root = page.root();
    let mut again = Vec::with_capacity(content.len());
    page.encode(&mut again);
    Ok((node_hash(&root), again == content))
}

/// A leaf that is set, or deleted (no hash).
struct Change {
    path: [u8; HASH],
    key: Vec<u8>,
    hash: Vec<u8>,
}

impl Change {
    fn digit(&self, depth: usize) -> Result<usize, Corrupt> {
        let byte = self
            .path
            .get(depth / 2)
            .ok_or_else(|| Corrupt(format!("the tree has more than {DIGITS_MAX} levels of pages")))?;
        Ok(usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 }))
    }
}

/// A page that changes are for. Its place in the level above says which slot gets its root.
struct Visit {
    name: Vec<u8>,
    above: usize,
    items: Vec<u32>,
    is_stored: bool,
    root: Option<[u8; HASH]>, // of what is stored, by the page above it
}

struct Visited {
    name: Vec<u8>,
    above: usize,
    slot: Option<usize>,
    page: Page<Record>,
    touched: Vec<(u8, Part)>,
}

/// The key of a record, what it is now, and what it was: as an undo run keeps it.
pub struct Changed {
    pub key: Vec<u8>,
    pub record: Option<Vec<u8>>,
    pub replaced: Vec<u8>,
}

/// An update under way: `wanted` and `give` in turn, until nothing is wanted; then `hash`.
pub struct Update {
    prefix: [u8; 2],
    version: [u8; VERSION],
    is_whole: bool,
    changes: Vec<Change>,
    todo: Vec<Visit>,
    at: usize,
    asked: Vec<Option<Record>>, // of the pages that come next, those that are held
    below: Vec<Visit>,
    levels: Vec<Vec<Visited>>,
    hashing: std::vec::IntoIter<Visited>,
    root: Part,
    changed: Vec<Vec<Changed>>,
    taking: std::vec::IntoIter<Changed>,
}

impl Update {
    /// prefix: of the keys of the store's pages. is_whole: what is replaced is kept whole, not as a delta.
    pub fn new(prefix: [u8; 2], version: [u8; VERSION], is_whole: bool) -> Self {
        Self {
            prefix,
            version,
            is_whole,
            changes: Vec::new(),
            todo: Vec::new(),
            at: 0,
            asked: Vec::new(),
            below: Vec::new(),
            levels: Vec::new(),
            hashing: Vec::new().into_iter(),
            root: Part::Nothing,
            changed: Vec::new(),
            taking: Vec::new().into_iter(),
        }
    }

    /// A key that changes, once, before anything is wanted; no value deletes it.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Corrupt> {
        let path = sha256(key);
        let hash = value.map_or_else(Vec::new, |value| {
            let mut leaf = Sha256::new();
            leaf.update([0]);
            leaf.update(path);
            leaf.update(sha256(value));
            leaf.finalize().to_vec()
        });
        self.add_hashed(key, path, hash)
    }

    /// As `add`, of a leaf whose hash is known.
    pub fn add_hashed(&mut self, key: &[u8], path: [u8; HASH], hash: Vec<u8>) -> Result<(), Corrupt> {
        if key.len() > KEY_MAX || hash.len() > HASH {
            return Err(Corrupt(format!("a key has {} bytes", key.len())));
        }
        self.changes.push(Change { path, key: key.to_vec(), hash });
        Ok(())
    }

    fn begin(&mut self) {
        self.changes.sort_unstable_by_key(|one| one.path);
        let count = u32::try_from(self.changes.len()).expect("fewer than 2^32 changes");
        self.levels.push(Vec::new());
        self.todo.push(Visit { name: Vec::new(), above: 0, items: (0..count).collect(), is_stored: true, root: None });
    }

    /// The keys of the pages that are read next, as many at most; none when all are there. With a cache, what it holds
    /// is not asked for, and it may be that nothing is for now.
    pub fn wanted(&mut self, most: usize, mut cache: Option<&mut Cache>) -> Result<Option<Vec<Vec<u8>>>, Corrupt> {
        if self.levels.is_empty() {
            self.begin();
        }
        let mut placed = 0;
        while placed < PLACED_MAX || cache.is_none() {
            if self.at == self.todo.len() {
                self.todo = std::mem::take(&mut self.below);
                self.at = 0;
                if self.todo.is_empty() {
                    return Ok(None);
                }
                self.levels.push(Vec::new());
            }
            let mut keys = Vec::new();
            self.asked.clear();
            for visit in &self.todo[self.at..self.todo.len().min(self.at + most.max(1))] {
                let key = visit.is_stored.then(|| self.key(&visit.name));
                let held = key.as_ref().zip(cache.as_mut()).and_then(|(key, cache)| cache.get(key).flatten());
                keys.extend(key.filter(|_| held.is_none()));
                self.asked.push(held);
            }
            if !keys.is_empty() {
                return Ok(Some(keys));
            }
            placed += self.asked.len();
            self.give(Vec::new(), None)?;
        }
        Ok(Some(Vec::new()))
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(3 + name.len());
        key.extend_from_slice(&self.prefix);
        key.push(low_byte(name.len()));
        key.extend_from_slice(name);
        key
    }

    /// The records (version, then content) of the keys that were wanted, in their order. For a cache they are held
    /// against the pages above them first.
    pub fn give(&mut self, records: Vec<Option<Record>>, mut cache: Option<&mut Cache>) -> Result<(), Corrupt> {
        let mut records = records.into_iter();
        for held in std::mem::take(&mut self.asked) {
            let visit = &mut self.todo[self.at];
            let name = std::mem::take(&mut visit.name);
            let items = std::mem::take(&mut visit.items);
            let (is_stored, above, root) = (visit.is_stored, visit.above, visit.root);
            let is_held = held.is_some();
            let record = if is_stored && !is_held { records.next().flatten() } else { held };
            if let (false, Some(cache), Some(record), Some(root)) = (is_held, &mut cache, &record, root) {
                if check_page(record.get(VERSION..).unwrap_or_default())? != (root, true) {
                    let name = String::from_utf8_lossy(&name);
                    return Err(Corrupt(format!("page {name} of the tree does not fit the one above it")));
                }
                cache.put(&self.key(&name), Some(record.clone()));
            }
            let page = match record {
                Some(record) => Page::decode(record, VERSION)?,
                None if is_stored && !name.is_empty() => {
                    let name = String::from_utf8_lossy(&name);
                    return Err(Corrupt(format!("page {name} of the tree is missing")));
                }
                None => Page::empty(),
            };
            self.place(page, name, above, &items)?;
            self.at += 1;
        }
        Ok(())
    }

    /// Put each change into its slot of the page, or hand it to the page below.
    fn place(&mut self, mut page: Page<Record>, name: Vec<u8>, above: usize, items: &[u32]) -> Result<(), Corrupt> {
        let here = self.levels.last().map_or(0, Vec::len);
        let mut touched = Vec::new();
        let mut at = 0;
        while at < items.len() {
            let digit = self.changes[items[at] as usize].digit(name.len())?;
            let mut end = at + 1;
            while end < items.len() && self.changes[items[end] as usize].digit(name.len())? == digit {
                end += 1;
            }
            let slot = QUARTERS + digit;
            page.parts[digit / 4] = Part::Nothing;
            let old = page.part(slot);
            let root = <[u8; HASH]>::try_from(old).ok();
            let is_inner = root.is_some();
            let group = if is_inner { items[at..end].to_vec() } else { self.with_leaf(&items[at..end], old) };
            touched.push((low_byte(slot), page.parts[slot].clone()));
            if is_inner || group.len() > 1 {
                let mut name = name.clone();
                name.push(DIGITS[digit]);
                self.below.push(Visit { name, above: here, items: group, is_stored: is_inner, root });
            } else {
                page.parts[slot] = match group.first() {
                    Some(&item) => {
                        let change = &self.changes[item as usize];
                        Part::Leaf([&change.hash[..], &change.key].concat())
                    }
                    None => Part::Nothing,
                };
            }
            at = end;
        }
        if let Some(level) = self.levels.last_mut() {
            level.push(Visited { slot: name.last().and_then(slot_of), name, above, page, touched });
        }
        Ok(())
    }

    /// The leaves that remain in a slot that held `old`, a leaf or nothing.
    fn with_leaf(&mut self, items: &[u32], old: &[u8]) -> Vec<u32> {
        let changes = &self.changes;
        let mut group: Vec<u32> =
            items.iter().copied().filter(|&item| !changes[item as usize].hash.is_empty()).collect();
        let key = key_part(old);
        if !old.is_empty() && items.iter().all(|&item| changes[item as usize].key != key) {
            group.push(u32::try_from(changes.len()).expect("fewer than 2^32 changes"));
            self.changes.push(Change { path: sha256(key), key: key.to_vec(), hash: hash_part(old).to_vec() });
            let changes = &self.changes;
            group.sort_by(|&one, &other| {
                let (one, other) = (&changes[one as usize], &changes[other as usize]);
                (&one.path, &one.key).cmp(&(&other.path, &other.key))
            });
        }
        group
    }

    /// Hash as many pages, from the lowest level up; whether all are done.
    pub fn hash(&mut self, most: usize) -> bool {
        for _ in 0..most {
            if let Some(visited) = self.hashing.next() {
                self.hash_one(visited);
            } else if let Some(level) = self.levels.pop() {
                self.changed.push(Vec::with_capacity(level.len()));
                self.hashing = level.into_iter();
            } else {
                return true;
            }
        }
        false
    }

    fn hash_one(&mut self, mut visited: Visited) {
        let root = visited.page.root();
        let (is_inner, is_leaf) = (matches!(root, Part::Inner(_)), matches!(root, Part::Leaf(_)));
        if is_inner || (is_leaf && visited.name.is_empty()) {
            let mut record = Vec::with_capacity(VERSION + PARTS + PARTS * HASH);
            record.extend_from_slice(&self.version);
            visited.page.encode(&mut record);
            let replaced = match (&visited.page.record, self.is_whole) {
                (None, _) => Vec::new(),
                (Some(old), true) => old.as_ref().to_vec(),
                (Some(old), false) => delta(old.as_ref(), &visited),
            };
            self.note(&visited.name, Some(record), replaced);
        } else if let Some(old) = &visited.page.record {
            self.note(&visited.name, None, old.as_ref().to_vec());
        }
        let above = self.levels.last_mut().and_then(|level| level.get_mut(visited.above));
        match (above, visited.slot) {
            (Some(above), Some(slot)) => above.page.parts[slot] = root,
            _ => self.root = root,
        }
    }

    fn note(&mut self, name: &[u8], record: Option<Vec<u8>>, replaced: Vec<u8>) {
        let key = self.key(name);
        if let Some(level) = self.changed.last_mut() {
            level.push(Changed { key, record, replaced });
        }
    }

    /// The new root, once all is hashed.
    pub fn root(&self) -> [u8; HASH] {
        node_hash(&self.root)
    }

    /// As many of the records that changed, ascending by key; none when all were taken.
    pub fn take(&mut self, most: usize) -> Vec<Changed> {
        let mut taken = Vec::new();
        while taken.len() < most {
            if let Some(changed) = self.taking.next() {
                taken.push(changed);
            } else if let Some(level) = self.changed.pop() {
                self.taking = level.into_iter();
            } else {
                break;
            }
        }
        taken
    }
}

fn node_hash(root: &Part) -> [u8; HASH] {
    let mut hash = EMPTY_HASH;
    match root {
        Part::Inner(inner) => hash = *inner,
        Part::Leaf(node) => {
            let part = hash_part(node);
            hash[..part.len()].copy_from_slice(part);
        }
        _ => {}
    }
    hash
}

/// What takes the page back to `old`: its version, and the slots that were touched.
fn delta(old: &[u8], visited: &Visited) -> Vec<u8> {
    let touched = &visited.touched;
    let mut bytes = old[..VERSION].to_vec();
    bytes.extend([DELTA_TAG, low_byte(touched.len())]);
    bytes.extend(touched.iter().map(|(slot, _)| slot));
    let olds = touched.iter().map(|(_, old)| visited.page.bytes_of(old));
    bytes.extend(olds.clone().map(|old| low_byte(old.len())));
    olds.for_each(|old| bytes.extend_from_slice(old));
    bytes
}

/// The key of an undo run, and its bytes.
pub type Run = (Vec<u8>, Vec<u8>);

/// What a version replaces, packed into runs of neighbouring keys: the key of each run, and its bytes.
///
/// A record is empty where there was none. A run ends when it has `run_bytes`.
/// Source: `UndoRuns` of `chain/state/layout.py`.
pub fn pack_runs<'a>(
    prefix: &[u8],
    replaced: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    run_bytes: usize,
) -> Result<Vec<Run>, Corrupt> {
    let mut runs: Vec<Run> = Vec::new();
    let mut size = usize::MAX; // of the run: this begins one
    for (key, record) in replaced {
        if size >= run_bytes {
            runs.push(([prefix, key].concat(), Vec::new()));
            size = 0;
        }
        let key_length = u16::try_from(key.len());
        let record_length = u32::try_from(record.len());
        let (Ok(key_length), Ok(record_length)) = (key_length, record_length) else {
            return Err(Corrupt("a key or record is too long for an undo run".into()));
        };
        if let Some((_, run)) = runs.last_mut() {
            run.extend(key_length.to_be_bytes());
            run.extend(record_length.to_be_bytes());
            run.extend_from_slice(key);
            run.extend_from_slice(record);
        }
        size += key.len() + record.len();
    }
    Ok(runs)
}
