//! What goes wrong around a verdict: each is a refusal with a code, a reason and a message that says what to do.

use std::time::Duration;

use crate::caller::GatherError;
use crate::review::{Denial, Unreadable};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The review cannot be read.
    #[error("retinue cannot read this request: {0}")]
    Unreadable(#[from] Unreadable),
    /// Not everything that a verdict needs is known yet.
    #[error("retinue is not ready: {0}; try again in a few seconds")]
    NotReady(String),
    /// The body is beyond what a legal review can reach.
    #[error(
        "the request is {} as a review, and at most {} are read: make the object smaller (an update is sent with the old \
         and the new one, and each <, > or & in a text counts as six bytes)",
        counted(*size), counted(*limit as u64)
    )]
    TooLarge {
        /// Bytes declared or read.
        size: u64,
        /// The bound.
        limit: usize,
    },
    /// Other requests take all the room that this sender may have now.
    #[error("retinue is busy with other requests of this sender (no room for {size} bytes now); try again")]
    Busy {
        /// Bytes wanted.
        size: u64,
    },
    /// Other requests of the same sender wait, as many as may.
    #[error("retinue is busy: more requests of this sender wait for their turn than may; try again")]
    Crowded,
    /// The body broke off.
    #[error("the request's body broke off after {0} bytes")]
    BrokenOff(usize),
    /// The situation could not be gathered.
    #[error("retinue cannot judge this request now: {0}; try again")]
    Gather(#[from] GatherError),
    /// The time to answer passed.
    #[error("retinue did not come to a verdict within {0:?}; try again")]
    Deadline(Duration),
    /// A bug of ours.
    #[error("retinue failed while judging this request; this is a bug of retinue, and its log says more")]
    Panicked,
}

/// `38797312 bytes (37.0 MiB)`.
fn counted(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{bytes} bytes ({}.{} MiB)", tenths / 10, tenths % 10)
}

impl Fault {
    /// For metrics and the log: a closed set.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NotReady(_) => "not-ready",
            Self::TooLarge { .. } => "too-large",
            Self::Busy { .. } => "busy",
            Self::Crowded => "crowded",
            Self::BrokenOff(_) => "broken-off",
            Self::Gather(_) => "gather",
            Self::Deadline(_) => "timeout",
            Self::Panicked => "panicked",
        }
    }

    /// Whether the body was turned away unread.
    pub fn is_shed(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Busy { .. })
    }

    /// Whether the trouble is ours, and not with what was sent.
    pub fn is_ours(&self) -> bool {
        !matches!(self, Self::Unreadable(_) | Self::TooLarge { .. })
    }

    /// As the caller sees it.
    pub fn denial(&self) -> Denial {
        let message = self.to_string();
        match self {
            Self::Unreadable(_) | Self::BrokenOff(_) => Denial::new(400, "BadRequest", message),
            Self::NotReady(_) => Denial::for_now(503, "ServiceUnavailable", message, 1),
            Self::TooLarge { .. } => Denial::new(413, "RequestEntityTooLarge", message),
            Self::Busy { .. } | Self::Crowded => Denial::for_now(429, "TooManyRequests", message, 1),
            Self::Gather(_) => Denial::new(503, "ServiceUnavailable", message),
            Self::Deadline(_) => Denial::new(504, "Timeout", message),
            Self::Panicked => Denial::new(500, "InternalError", message),
        }
    }
}
