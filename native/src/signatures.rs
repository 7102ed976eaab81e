//! Ed25519 signatures by ZIP-215, many at once.
//!
//! A batch holds when all in it hold; when one does not, smaller batches and then single checks find which. Both are the
//! cofactored equation, so that what holds alone holds in a batch; a batch that holds though one in it does not is what
//! nobody reaches but with chance 2^-128, since its coefficients are drawn after the signatures are known.
//! Source: ZIP-215; the batch equation of ed25519-zebra.

use std::convert::Infallible;

use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{Signature, VerificationKeyBytes};
use rand_core::{TryCryptoRng, TryRng};

const BATCH_MIN: usize = 4; // fewer are cheaper one by one
const BATCH_MAX: usize = 1_024; // beyond it a signature gets hardly cheaper, and the memory grows
/// Of a batch that fails, parts of so many are tried before single checks. One bad signature then makes 32 others dearer
/// and no more; where all are bad each costs 1.8 single checks.
const SECOND_TRY: usize = 32;
const COEFFICIENT_BYTES: usize = 16;

/// Public key, message, signature.
pub type Check<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Whether each holds, in order.
pub fn verify_all(checks: &[Check<'_>]) -> Vec<bool> {
    let mut answers = vec![false; checks.len()];
    let mut places = Vec::with_capacity(checks.len());
    let mut items = Vec::with_capacity(checks.len());
    for (place, check) in checks.iter().enumerate() {
        if let Some(item) = item_of(check) {
            places.push(place);
            items.push(item);
        }
    }
    for (places, items) in places.chunks(BATCH_MAX).zip(items.chunks(BATCH_MAX)) {
        judge(places, items, SECOND_TRY, &mut answers);
    }
    answers
}

fn item_of(&(key, message, signature): &Check<'_>) -> Option<Item> {
    let key: [u8; 32] = key.try_into().ok()?;
    let signature: [u8; 64] = signature.try_into().ok()?;
    Some(Item::from((VerificationKeyBytes::from(key), Signature::from(signature), message)))
}

fn judge(places: &[usize], items: &[Item], next: usize, answers: &mut [bool]) {
    if items.len() >= BATCH_MIN && all_hold(items) {
        for &place in places {
            answers[place] = true;
        }
    } else if items.len() > next {
        for (places, items) in places.chunks(next).zip(items.chunks(next)) {
            judge(places, items, next, answers);
        }
    } else {
        for (&place, item) in places.iter().zip(items) {
            answers[place] = item.clone().verify_single().is_ok();
        }
    }
}

/// Whether all hold. Without random numbers nothing is said of a batch: false, and each is judged alone.
fn all_hold(items: &[Item]) -> bool {
    let Some(numbers) = Drawn::new(items.len()) else {
        return false;
    };
    let mut batch = Verifier::new();
    for item in items {
        batch.queue(item.clone());
    }
    batch.verify(numbers).is_ok()
}

/// Random bytes of the machine's, drawn at once: a call of the system for each coefficient takes as long as some of the
/// arithmetic.
struct Drawn {
    bytes: Vec<u8>,
    at: usize,
}

impl Drawn {
    fn new(coefficients: usize) -> Option<Self> {
        let mut bytes = vec![0; coefficients * COEFFICIENT_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self { bytes, at: 0 })
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Panics when more is asked than a coefficient a signature: the same bytes twice would be worse.
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        let end = self.at + target.len();
        target.copy_from_slice(&self.bytes[self.at..end]);
        self.at = end;
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}
