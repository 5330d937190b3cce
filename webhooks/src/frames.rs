//! How many frames a client may send over an HTTP/2 connection that are no requests, and what each costs.
//!
//! WINDOW_UPDATE, PING, SETTINGS, PRIORITY, frames that nobody knows, empty DATA: each costs the thread that serves as much
//! as a part of a review, and no bound of requests or bodies sees them. So a connection has an allowance of frames. Each
//! answer to a review adds to it once its client read it, so an API server never comes near its end; whoever sends nothing
//! but frames is read as slowly as the allowance grows.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::Instant;

/// The most that a connection may have left, and what it begins with: of as many requests as there may be at once
/// ([`crate::http2`]) headers, body and end.
const MOST: i64 = 1_000;
/// What it gets in any case, frames a second: clients that cancel requests, or ask whether the server lives.
const A_SECOND: i64 = 100;
/// What an answer adds: its request's frames and those which say that it was read. For each [`PIECE`] of it one more.
const AN_ANSWER: i64 = 8;
/// Bytes. A frame that is larger costs more, and DATA from here on nothing: that is bounded as a body.
const PIECE: usize = 1 << 10;
/// What a client sends first.
const PREFACE: usize = 24;
/// The header of a frame: its payload's length, its kind, flags, and the stream.
const HEADER: usize = 9;
/// The kind of frames that are a body.
const DATA: u8 = 0;
/// The kinds that are headers, and the flag of those which end them.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// What a request takes of a thread until its body is read, a byte of its headers, any other frame, and a byte of that;
/// nanoseconds. A byte can name a header that takes as long as a long one.
const REQUEST: u64 = 12_500;
const HEADERS_BYTE: u64 = 50;
const FRAME: u64 = 2_000;
const BYTE: u64 = 1;

/// What a connection may still send. Of one thread.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Cell<i64>,
    /// Until when what comes by itself is counted.
    counted: Cell<Instant>,
}

impl Allowance {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { left: Cell::new(MOST), counted: Cell::new(Instant::now()) })
    }

    /// An answer of so many bytes has left.
    pub(crate) fn answered(&self, bytes: usize) {
        self.add(AN_ANSWER.saturating_add(count(bytes / PIECE)));
    }

    /// Whether there is any, now.
    pub(crate) fn any(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted.get());
        let grown = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX).saturating_mul(A_SECOND) / 1_000;
        if grown > 0 {
            self.counted.set(now);
            self.add(grown);
        }
        self.left.get() > 0
    }

    pub(crate) fn add(&self, frames: i64) {
        self.left.set(self.left.get().saturating_add(frames).min(MOST));
    }
}

/// What was read costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Of the allowance.
    pub(crate) frames: i64,
    /// Of the thread, nanoseconds.
    pub(crate) time: u64,
}

/// Headers that go on in another frame. An API server's never do: they would be larger than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("headers that do not end in their frame")]
pub(crate) struct Endless;

/// Where the frames begin in what was read.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Bytes until the next header.
    skip: usize,
    header: [u8; HEADER],
    /// So much of it was read.
    read: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { skip: PREFACE, header: [0; HEADER], read: 0 }
    }

    /// Bytes until the end of the next header: what may be read before it is known what comes then.
    pub(crate) fn ahead(&self) -> usize {
        self.skip + HEADER - self.read
    }

    /// What these bytes cost, which follow those of before. A frame is paid with its header.
    pub(crate) fn cost(&mut self, mut bytes: &[u8]) -> Result<Cost, Endless> {
        let mut all = Cost::default();
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.read).min(bytes.len());
            if taken == 0 {
                return Ok(all);
            }
            self.header[self.read..self.read + taken].copy_from_slice(&bytes[..taken]);
            self.read += taken;
            bytes = &bytes[taken..];
            if self.read == HEADER {
                let [a, b, c, kind, flags, ..] = self.header;
                let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                (self.read, self.skip) = (0, length);
                let one = of_frame(kind, flags, length)?;
                all.frames = all.frames.saturating_add(one.frames);
                all.time = all.time.saturating_add(one.time);
            }
        }
    }
}

fn of_frame(kind: u8, flags: u8, length: usize) -> Result<Cost, Endless> {
    let (frame, byte) = match kind {
        HEADERS if flags & END_HEADERS == 0 => return Err(Endless),
        CONTINUATION => return Err(Endless),
        HEADERS => (REQUEST, HEADERS_BYTE),
        _ => (FRAME, BYTE),
    };
    let frames = if kind == DATA && length >= PIECE { 0 } else { 1 + count(length / PIECE) };
    Ok(Cost { frames, time: frame.saturating_add(byte.saturating_mul(length as u64)) })
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

    use std::time::Duration;

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, END_HEADERS, 0, 0, 0, 0]);
        frame.resize(HEADER + length, 0);
        frame
    }

    #[test]
    fn each_frame_is_counted_once_however_the_bytes_come() {
        let mut bytes = vec![b'x'; PREFACE];
        for (kind, length) in [(PING, 8), (DATA, 0), (DATA, 16 << 10), (DATA, 3), (0x77, 5_000), (PING, 0)] {
            bytes.extend(frame(kind, length));
        }
        for size in [1, 2, 7, 9, 1_000, bytes.len()] {
            let mut frames = Frames::new();
            let cost: i64 = bytes.chunks(size).map(|chunk| frames.cost(chunk).unwrap().frames).sum();
            assert_eq!(cost, 1 + 1 + 1 + (1 + 4) + 1, "{size} at a time");
        }
    }

    #[test]
    fn threat_59_what_takes_a_thread_longer_costs_more_and_headers_end_in_their_frame() {
        let time = |kind, length| {
            let mut frames = Frames::new();
            frames.cost(&[0; PREFACE]).unwrap();
            frames.cost(&frame(kind, length)).unwrap().time
        };
        assert!(time(HEADERS, 12) > 5 * time(PING, 8), "a request is answered");
        assert!(time(HEADERS, 16 << 10) > 10 * time(HEADERS, 1 << 10), "each byte may name a header");
        assert!(time(DATA, 16 << 10) < 2 * time(HEADERS, 12), "a body is copied");
        for (kind, flags) in [(HEADERS, 0), (CONTINUATION, 0), (CONTINUATION, END_HEADERS)] {
            let mut header = frame(kind, 10);
            header[4] = flags;
            let mut frames = Frames::new();
            frames.cost(&[0; PREFACE]).unwrap();
            assert_eq!(frames.cost(&header), Err(Endless), "{kind} {flags}");
        }
    }

    #[test]
    fn what_may_be_read_ends_with_the_next_header() {
        let mut frames = Frames::new();
        assert_eq!(frames.ahead(), PREFACE + HEADER);
        let mut bytes = vec![0; PREFACE];
        bytes.extend(&frame(DATA, 100)[..5]);
        frames.cost(&bytes).unwrap();
        assert_eq!(frames.ahead(), HEADER - 5);
        frames.cost(&frame(DATA, 100)[5..20]).unwrap();
        assert_eq!(frames.ahead(), 100 - 11 + HEADER);
    }

    #[test]
    fn an_allowance_grows_by_itself_and_is_not_saved_up() {
        let allowance = Allowance::new();
        allowance.add(-MOST - 50);
        let now = allowance.counted.get();
        assert!(!allowance.any(now + Duration::from_millis(500)), "its debt is paid first");
        assert!(allowance.any(now + Duration::from_secs(1)));
        assert_eq!(allowance.left.get(), A_SECOND - 50);
        assert!(allowance.any(now + Duration::from_secs(3_600)));
        assert_eq!(allowance.left.get(), MOST);
    }
}
