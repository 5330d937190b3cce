//! Both outputs, written in the order in which it was asked for, by a thread of its own: a reader that does not read holds
//! up nothing but what it would read.

use std::io::{self, Write as _};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Pieces that may wait to be written.
const WAITING: usize = 1024;

/// Where something is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The outputs.
pub(super) struct Outputs {
    sender: Sender,
    thread: JoinHandle<()>,
}

/// Takes what is to be written.
#[derive(Clone)]
pub(super) struct Sender(SyncSender<(To, Vec<u8>)>);

impl Outputs {
    pub(super) fn open() -> Self {
        let (sender, pieces) = sync_channel::<(To, Vec<u8>)>(WAITING);
        let thread = std::thread::spawn(move || {
            while let Ok((to, bytes)) = pieces.recv() {
                // A reader that went away ends no Job: what it would have read is written to nobody.
                let _nobody = match to {
                    To::Out => {
                        let mut out = io::stdout().lock();
                        out.write_all(&bytes).and_then(|()| out.flush())
                    }
                    To::Err => io::stderr().lock().write_all(&bytes),
                };
            }
        });
        Self { sender: Sender(sender), thread }
    }

    pub(super) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits until all is written; every other sender must be gone.
    pub(super) async fn finish(self) {
        drop(self.sender);
        let thread = self.thread;
        // A thread that panicked has written what it could.
        let _written = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

impl Sender {
    /// Writes a log line, as soon as there is room.
    pub(super) async fn write(&self, to: To, bytes: Vec<u8>) {
        let mut piece = (to, bytes);
        loop {
            match self.0.try_send(piece) {
                Err(std::sync::mpsc::TrySendError::Full(back)) => piece = back,
                _ => return,
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Writes a report, unless the reader is far behind: the next one says more.
    pub(super) fn offer(&self, to: To, bytes: Vec<u8>) {
        let _too_slow = self.0.try_send((to, bytes));
    }
}
