//! The uid of a review from the first bytes of its body, whatever comes after them, and who it says is asking.
//!
//! A scanner instead of a parser: it knows strings and brackets, keeps no tree, does not recurse, and stops at the
//! first `request.uid` of the review itself. A `uid` deeper inside (the object's own) is never taken for it.

/// How much of a body is kept for finding its uid, bytes. The API server writes `kind`, `apiVersion`, then `request`
/// with `uid` first: it is within the first hundred.
pub const HEAD: usize = 4096;

/// Longer than any uid (36 characters), short enough to echo.
const MAX_UID: usize = 128;

/// The review's uid; none if it is not in these bytes, or is not printable ASCII of at most 128 characters.
pub fn uid_from_head(head: &[u8]) -> Option<String> {
    let mut scanner = Scanner { bytes: head, at: 0 };
    scanner.enter_member(b"request")?;
    scanner.enter_member(b"uid")?;
    scanner.space();
    let uid = std::str::from_utf8(scanner.string()?).ok()?;
    usable(uid).then(|| uid.to_owned())
}

/// What a review says of itself before it is parsed: enough to know whose turn it waits for, and for nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims<'a> {
    /// `request.namespace`, escapes as written; empty if it is not in the head.
    pub(crate) namespace: &'a str,
    /// `request.userInfo.username`.
    pub(crate) username: &'a str,
}

/// What the first [`HEAD`] bytes say. The API server writes both before the object.
pub(crate) fn claims(body: &[u8]) -> Claims<'_> {
    let mut claims = Claims::default();
    let mut scanner = Scanner { bytes: body.get(..HEAD).unwrap_or(body), at: 0 };
    // Whatever was found before the head ended, or is no review, is what is known.
    let _ = scanner.read_claims(&mut claims);
    claims
}

/// Whether a uid can be echoed: printable ASCII without quote or backslash, not empty, not long.
pub(super) fn usable(uid: &str) -> bool {
    !uid.is_empty() && uid.len() <= MAX_UID && uid.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Enters the map that starts here and stands before the value of its member `key`.
    fn enter_member(&mut self, key: &[u8]) -> Option<()> {
        self.expect(b'{')?;
        loop {
            self.space();
            let found = self.string()? == key;
            self.expect(b':')?;
            if found {
                return Some(());
            }
            self.skip_value()?;
            self.expect(b',')?;
        }
    }

    fn read_claims(&mut self, claims: &mut Claims<'a>) -> Option<()> {
        self.enter_member(b"request")?;
        self.expect(b'{')?;
        loop {
            self.space();
            let key = self.string()?;
            self.expect(b':')?;
            self.space();
            match key {
                b"namespace" => claims.namespace = std::str::from_utf8(self.string()?).ok()?,
                b"userInfo" => {
                    self.enter_member(b"username")?;
                    self.space();
                    claims.username = std::str::from_utf8(self.string()?).ok()?;
                    return Some(());
                }
                _ => self.skip_value()?,
            }
            self.expect(b',')?;
        }
    }

    /// The text of the string that starts here, escapes as written.
    fn string(&mut self) -> Option<&'a [u8]> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    let text = self.bytes.get(start..self.at);
                    self.at += 1;
                    return text;
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// Steps over one value: to its end, or to the comma or bracket that ends it.
    fn skip_value(&mut self) -> Option<()> {
        self.space();
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth == 0 => return Some(()),
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' if depth == 0 => return Some(()),
                _ => self.at += 1,
            }
        }
    }
}
