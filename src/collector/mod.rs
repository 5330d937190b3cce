//! The collector: deletes dependents that are garbage, and ends pods that are done.
//!
//! Garbage is exactly this: an object with a valid stamp (`fledged.io/admission` names this very object) whose label
//! `fledged.io/expires-at` is past by the API server's clock; a Job that finished so long ago that its time to keep is
//! over; and what ends with its master, which is gone. A pod whose label names an essential container that has completed,
//! whoever made it. Where an admin has turned that on, also an object without any key of a stamp on which another
//! collector's key says so. Nothing else, ever; [`policies::garbage`], [`policies::essential`] and [`policies::foreign`]
//! judge.
//!
//! The rooms: [`discover`] finds the kinds that this account may delete; [`occasions`] watches for what may change them,
//! and [`lookout`] says when to look [`again`]; [`gather`] follows each kind by one label-selected watch of metadata
//! ([`bare`]), [`following`] keeps those watches, [`foreign`] says where other collectors' keys count, [`masters`] keeps
//! those of masters whose end no ownerReference would tell, [`essential`] those of pods with essential containers,
//! [`queue`] orders deadlines (in few bytes: [`identity`]), [`notices`] tells of those that are near, [`leader`] has one of several collectors delete, [`reap`] sends
//! one conditional DELETE per object (written by [`wire`]), [`report`] counts and tells (within its [`allowance`]), [`conditions`] on its own pod say what is missing, [`collect`] ties them
//! together. [`guard`] says when what judges masters is missing. There is no object store: state is the cluster, so a restart loses nothing, and since every DELETE names uid
//! and resourceVersion two collectors at once harm nothing.

pub(crate) mod again;
mod allowance;
mod bare;
pub mod collect;
mod conditions;
pub mod discover;
pub mod essential;
mod following;
mod foreign;
pub mod gather;
mod guard;
pub mod identity;
pub mod leader;
mod lookout;
mod masters;
mod notices;
mod occasions;
pub mod queue;
pub mod reap;
pub mod report;
mod wire;

pub use collect::{Config, run};
pub use essential::Wanted;
pub use foreign::Foreign;
pub use guard::Guard;
pub use leader::Election;
pub use report::Metrics;
