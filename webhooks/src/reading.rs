//! How far a connection is read before others have their turn.
//!
//! What a client sends costs the thread that serves before anybody knows what it is: frames and headers are decoded, requests
//! routed and answered. So connections are read in turns as reviews are judged ([`serving`]), a tenth of a millisecond at a
//! time, and each is charged what was read of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::frames::{Allowance, Cost, Frames};
use crate::sender::Sender;
use crate::serving;

/// What is read in one turn, nanoseconds of the thread: eight requests. Over HTTP/2 it goes on to six
/// times as much as long as no other connection waits, since what is read together is answered together.
const TURN: u64 = 100_000;
const LONG: u64 = 6 * TURN;
/// The least that a turn is charged.
const LEAST: u64 = 1_000;
/// How long a connection without any allowance of frames is not read.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read at a time over HTTP/1.1 of a body, bytes, and what that and a byte of it take, nanoseconds.
const PIECE: usize = 8 << 10;
const READ: u64 = 5_000;
const BODY_BYTE: u64 = 1;
/// The same of anything else: an API server's head. As many bytes are fourteen requests, or make a long head be parsed anew.
const HEAD_PIECE: usize = 256;
const HEAD_BYTE: u64 = 400;
/// The most that is read of a head over HTTP/1.1, bytes; as much as over HTTP/2.
const HEAD: usize = 16 << 10;

/// Whose turn it is to be read. Of one thread.
#[derive(Debug)]
pub(crate) struct Pace {
    sender: Sender,
    /// What is read in one turn, nanoseconds, as long as no other connection waits.
    longest: u64,
    /// What was read since its last turn was asked for takes, nanoseconds.
    spent: Cell<u64>,
    stage: RefCell<Stage>,
    /// Somebody wanted to read without a turn.
    wanted: Cell<bool>,
}

#[derive(Debug)]
enum Stage {
    /// It has its turn.
    Reads,
    /// It had its turn, and tasks that are ready go before it asks for another.
    Rests,
    /// It is to ask for a turn.
    Asks,
    Waits(oneshot::Receiver<()>),
}

impl Pace {
    /// Of a connection over HTTP/2.
    pub(crate) fn new(sender: Sender) -> Rc<Self> {
        Self::of(sender, LONG)
    }

    fn of(sender: Sender, longest: u64) -> Rc<Self> {
        Rc::new(Self {
            sender,
            longest,
            spent: Cell::new(0),
            stage: RefCell::new(Stage::Asks),
            wanted: Cell::new(false),
        })
    }

    /// Polls what reads over HTTP/2, and waits for the next turn each time that it took in what was read.
    pub(crate) fn poll<T>(&self, cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        loop {
            self.wanted.set(false);
            match poll(cx) {
                Poll::Pending if self.wanted.get() => ready!(self.poll_turn(cx)),
                polled => return polled,
            }
        }
    }

    /// Waits until it may be read.
    fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stage = self.stage.borrow_mut();
        loop {
            *stage = match &mut *stage {
                Stage::Reads => return Poll::Ready(()),
                Stage::Rests => {
                    *stage = Stage::Asks;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stage::Asks => {
                    let cost = self.spent.take().max(LEAST);
                    serving::enter(|| self.sender.path("", ""), cost).map_or(Stage::Reads, Stage::Waits)
                }
                Stage::Waits(granted) => {
                    let _ = ready!(granted.poll_unpin(cx));
                    Stage::Reads
                }
            }
        }
    }

    fn reads(&self) -> bool {
        let reads = matches!(*self.stage.borrow(), Stage::Reads);
        self.wanted.set(!reads);
        reads
    }

    /// So much was read.
    fn spend(&self, time: u64) {
        self.spent.set(self.spent.get().saturating_add(time));
        let spent = self.spent.get();
        if spent >= self.longest || spent >= TURN && serving::others_wait(self.sender.path("", "")) {
            self.stage.replace(Stage::Rests);
        }
    }

    /// There is nothing more to read: what comes later waits for a turn of its own.
    fn ends(&self) {
        self.stage.replace(Stage::Asks);
    }
}

/// What comes next over HTTP/1.1, which who answers the requests of a connection tells.
#[derive(Debug)]
pub(crate) struct Next(Cell<Coming>);

#[derive(Clone, Copy, Debug)]
enum Coming {
    /// A head, of which so many bytes were read.
    Head(usize),
    /// So many bytes of a body. What comes after them, or comes in chunks, is read as carefully as heads are.
    Body(usize),
    /// Nothing that is read.
    Nothing,
}

impl Next {
    /// A request's head was read, and so many bytes follow.
    pub(crate) fn body(&self, length: usize) {
        self.tell(Coming::Body(length));
    }

    /// A request was answered.
    pub(crate) fn head(&self) {
        self.tell(Coming::Head(0));
    }

    /// No more is read.
    pub(crate) fn nothing(&self) {
        self.0.set(Coming::Nothing);
    }

    fn tell(&self, coming: Coming) {
        if !matches!(self.0.get(), Coming::Nothing) {
            self.0.set(coming);
        }
    }

    /// The most that may be read now.
    fn most(&self) -> usize {
        match self.0.get() {
            Coming::Head(_) | Coming::Body(0) => HEAD_PIECE,
            Coming::Body(left) => left.min(PIECE),
            Coming::Nothing => 0,
        }
    }

    /// What this takes that was read, nanoseconds.
    fn cost(&self, bytes: usize) -> io::Result<u64> {
        let (coming, byte) = match self.0.get() {
            Coming::Head(read) if read + bytes > HEAD => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a head that is too large"));
            }
            Coming::Head(read) => (Coming::Head(read + bytes), HEAD_BYTE),
            Coming::Body(0) => (Coming::Body(0), HEAD_BYTE),
            Coming::Body(left) => (Coming::Body(left.saturating_sub(bytes)), BODY_BYTE),
            Coming::Nothing => (Coming::Nothing, BODY_BYTE),
        };
        self.0.set(coming);
        Ok(READ.saturating_add(byte.saturating_mul(bytes as u64)))
    }
}

/// A connection that is read in turns. Over HTTP/2 whoever polls it asks for the next one ([`Pace::poll`]), once what was read
/// is taken in.
#[derive(Debug)]
pub(crate) struct Measured<Io> {
    io: Io,
    pace: Rc<Pace>,
    protocol: Protocol,
}

#[derive(Debug)]
enum Protocol {
    Http1(Rc<Next>),
    Http2 { frames: Frames, allowance: Rc<Allowance>, pause: Option<Pin<Box<Sleep>>> },
}

impl<Io> Measured<Io> {
    pub(crate) fn http1(io: Io, sender: Sender) -> Self {
        let next = Rc::new(Next(Cell::new(Coming::Head(0))));
        Self { io, pace: Pace::of(sender, TURN), protocol: Protocol::Http1(next) }
    }

    pub(crate) fn http2(io: Io, pace: Rc<Pace>, allowance: Rc<Allowance>) -> Self {
        Self { io, pace, protocol: Protocol::Http2 { frames: Frames::new(), allowance, pause: None } }
    }

    /// What is to be told what comes next; none over HTTP/2.
    pub(crate) fn next(&self) -> Option<Rc<Next>> {
        match &self.protocol {
            Protocol::Http1(next) => Some(Rc::clone(next)),
            Protocol::Http2 { .. } => None,
        }
    }
}

impl Protocol {
    /// Waits until it may be read: so many bytes.
    fn poll_most(&mut self, pace: &Pace, cx: &mut Context<'_>) -> Poll<usize> {
        match self {
            Self::Http1(next) => pace.poll_turn(cx).map(|()| next.most()),
            Self::Http2 { frames, allowance, pause } => {
                ready!(poll_allowance(allowance, pause, cx));
                if pace.reads() { Poll::Ready(frames.ahead()) } else { Poll::Pending }
            }
        }
    }

    /// What these bytes cost that were read.
    fn cost(&mut self, bytes: &[u8]) -> io::Result<u64> {
        match self {
            Self::Http1(next) => next.cost(bytes.len()),
            Self::Http2 { frames, allowance, .. } => {
                let Cost { frames, time } = frames.cost(bytes).map_err(io::Error::other)?;
                allowance.add(-frames);
                Ok(time)
            }
        }
    }
}

/// Waits until there is an allowance. Answers add to it, and wake the task that reads.
fn poll_allowance(allowance: &Allowance, pause: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let now = Instant::now();
        if allowance.any(now) {
            *pause = None;
            return Poll::Ready(());
        }
        let sleep = pause.get_or_insert_with(|| Box::pin(sleep_until(now + PAUSE)));
        ready!(sleep.as_mut().poll(cx));
        *pause = None;
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Measured<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let most = ready!(this.protocol.poll_most(&this.pace, cx)).min(buf.remaining());
        if most == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        let read = Pin::new(&mut this.io).poll_read(cx, &mut part);
        if read.is_pending() {
            this.pace.ends();
        }
        ready!(read)?;
        let read = part.filled().len();
        this.pace.spend(this.protocol.cost(part.filled())?);
        buf.advance(read);
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
#[path = "reading_tests.rs"]
#[allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
mod tests;
