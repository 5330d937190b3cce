//! How many frames a client may send over an HTTP/2 connection that are no requests, and how much of it is read before others
//! have their turn.
//!
//! WINDOW_UPDATE, PING, SETTINGS, PRIORITY, frames that nobody knows, empty DATA: each costs the thread that serves as much
//! as a part of a review, and no bound of requests or bodies sees them. So a connection has an allowance of frames. Each
//! answer that its client read adds to it, so an API server never comes near its end; whoever sends nothing but frames is
//! read as slowly as the allowance grows.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The most that a connection may have left, and what it begins with: of as many requests as there may be at once
/// ([`crate::http2`]) headers, body and end.
const MOST: i64 = 1_000;
/// What it gets in any case, frames a second: clients that cancel requests, or ask whether the server lives.
const A_SECOND: i64 = 100;
/// What an answer adds: its request's frames and those which say that it was read. For each [`PIECE`] of it one more.
const AN_ANSWER: i64 = 8;
/// Bytes. A frame that is larger costs more, and DATA from here on nothing: that is bounded as a body.
const PIECE: usize = 1 << 10;
/// How long a connection without any allowance is not read.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are read before others have their turn.
const TURN: usize = 16 << 10;
/// What a client sends first.
const PREFACE: usize = 24;
/// The header of a frame: its payload's length, its kind, flags, and the stream.
const HEADER: usize = 9;
/// The kind of frames that are a body.
const DATA: u8 = 0;

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
    fn any(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted.get());
        let grown = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX).saturating_mul(A_SECOND) / 1_000;
        if grown > 0 {
            self.counted.set(now);
            self.add(grown);
        }
        self.left.get() > 0
    }

    fn add(&self, frames: i64) {
        self.left.set(self.left.get().saturating_add(frames).min(MOST));
    }
}

/// Where the frames begin in what was read.
#[derive(Debug)]
struct Frames {
    /// Bytes until the next header.
    skip: usize,
    header: [u8; HEADER],
    /// So much of it was read.
    read: usize,
}

impl Frames {
    fn new() -> Self {
        Self { skip: PREFACE, header: [0; HEADER], read: 0 }
    }

    /// What these bytes cost, which follow those of before.
    fn cost(&mut self, mut bytes: &[u8]) -> i64 {
        let mut cost = 0_i64;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.read).min(bytes.len());
            if taken == 0 {
                return cost;
            }
            self.header[self.read..self.read + taken].copy_from_slice(&bytes[..taken]);
            self.read += taken;
            bytes = &bytes[taken..];
            if self.read == HEADER {
                let [a, b, c, kind, ..] = self.header;
                let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                (self.read, self.skip) = (0, length);
                if kind != DATA || length < PIECE {
                    cost = cost.saturating_add(1 + count(length / PIECE));
                }
            }
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A connection that is read as far as its allowance goes.
#[derive(Debug)]
pub(crate) struct Measured<Io> {
    io: Io,
    allowance: Rc<Allowance>,
    frames: Frames,
    pause: Option<Pin<Box<Sleep>>>,
    /// Bytes read since others had their turn.
    read: usize,
}

impl<Io> Measured<Io> {
    pub(crate) fn new(io: Io, allowance: Rc<Allowance>) -> Self {
        Self { io, allowance, frames: Frames::new(), pause: None, read: 0 }
    }

    /// Waits until there is an allowance. Answers add to it, and wake the task that reads.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            if self.allowance.any(now) {
                self.pause = None;
                return Poll::Ready(());
            }
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(now + PAUSE)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Measured<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_allowance(cx));
        if self.read >= TURN {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_pending() {
            self.read = 0;
        }
        ready!(read)?;
        let bytes = &buf.filled()[before..];
        self.read += bytes.len();
        let cost = self.frames.cost(bytes);
        self.allowance.add(-cost);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Measured<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

    use futures::FutureExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut frame = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 0]);
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
            let cost: i64 = bytes.chunks(size).map(|chunk| frames.cost(chunk)).sum();
            assert_eq!(cost, 1 + 1 + 1 + (1 + 4) + 1, "{size} at a time");
        }
    }

    #[tokio::test]
    async fn threat_59_who_sends_nothing_but_frames_is_read_no_further_than_its_allowance() {
        let mut bytes = vec![b'x'; PREFACE];
        bytes.extend(frame(PING, 8).repeat(100_000));
        let allowance = Allowance::new();
        let mut measured = Measured::new(&bytes[..], Rc::clone(&allowance));
        let (mut read, mut turns) = (0, 0);
        // Whenever others have their turn, it goes on at once.
        while allowance.left.get() > 0 {
            match measured.read(&mut [0; 1_700]).now_or_never() {
                Some(more) => read += more.unwrap(),
                None => turns += 1,
            }
        }
        let frames = count(read / (HEADER + 8));
        assert!((MOST..MOST + 200).contains(&frames), "{frames} frames");
        assert!(turns >= read / (TURN + 1_700), "others had {turns} turns in {read} bytes");
        assert!(measured.read(&mut [0; 1_700]).now_or_never().is_none());
        allowance.answered(1 << 20);
        assert!(allowance.left.get() > 0, "an answer adds to it");
        assert!(measured.read(&mut [0; 1_700]).now_or_never().is_some());
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
