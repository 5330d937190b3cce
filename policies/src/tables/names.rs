//! A fast hash for the names of fields, which are short and ours: the default one, made for keys that strangers choose,
//! took a third of a verdict's time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Something by the name of a field, of a type or of a kind. The names in it come from the tables alone.
pub(super) type ByName<T> = HashMap<&'static str, T, BuildHasherDefault<NameHasher>>;

/// Eight bytes at a time: turn, mix, multiply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameHasher(u64);

/// Any odd number with its bits well spread will do; this is 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl NameHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            self.mix(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }
    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }
    fn finish(&self) -> u64 {
        // A table takes its place from the low bits and a mark from the high ones.
        self.0 ^ (self.0 >> 32)
    }
}
