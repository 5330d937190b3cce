//! Choices out of bytes: when they are used up, every choice is the first.

/// The bytes that are left.
#[derive(Debug)]
pub struct Dice<'b>(&'b [u8]);

impl<'b> Dice<'b> {
    /// Of these bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left to choose with.
    pub fn spent(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of `count`, which is 1 to 256.
    pub fn roll(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// Once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.roll(count) == count - 1
    }

    /// One of these; never asked of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }

    /// Text of up to `most` characters that is made of `alphabet`.
    pub fn text(&mut self, alphabet: &str, most: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..self.roll(most + 1)).map(|_| *self.pick(&alphabet)).collect()
    }
}
