//! The closed world, proven.
//!
//! The rooms: [`populated`] reads the Kubernetes module's own objects with every field of every kind set; [`vary`]
//! makes every single change of an object; [`same`] lists the few changes that leave an object the same to the API
//! server, each with its reason; [`offline`] holds recognition to refusing all the others; [`figures`] is the table of
//! what all pieces of the proof found.

pub mod figures;
pub mod offline;
pub mod populated;
pub mod same;
pub mod vary;
