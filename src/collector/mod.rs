//! The collector: deletes dependents that are garbage.
//!
//! Garbage is exactly this: an object with a valid stamp (`fledged.io/admission` names this very object) whose label
//! `fledged.io/expires-at` is past by the API server's clock; a Job that finished so long ago that its time to keep is
//! over; and what ends with its master, which is gone. Nothing else, ever; [`policies::garbage`] judges.
//!
//! The rooms: [`discover`] finds the kinds that this account may delete; [`occasions`] watches for what may change them,
//! and [`lookout`] says when to look [`again`]; [`gather`] follows each kind by one label-selected watch of metadata,
//! [`following`] keeps those watches, [`masters`] those of masters whose end no ownerReference would tell, [`queue`] orders deadlines, [`leader`] has one of several collectors delete, [`reap`]
//! sends one conditional DELETE per object, [`report`] counts and tells, [`collect`] ties them together. There is no object store: state is the cluster, so a restart loses
//! nothing, and since every DELETE names uid and resourceVersion two collectors at once harm nothing.

mod again;
pub mod collect;
pub mod discover;
mod following;
pub mod gather;
pub mod leader;
mod lookout;
mod masters;
mod occasions;
pub mod queue;
pub mod reap;
pub mod report;

pub use collect::{Config, run};
pub use leader::Election;
pub use report::Metrics;
