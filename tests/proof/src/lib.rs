//! The closed world, proven. `make proof` prints the table.
//!
//! The rooms: [`populated`] reads the Kubernetes module's own objects with every field of every kind set; [`vary`]
//! makes every single change of an object; [`same`] lists the few changes that leave an object the same to the API
//! server, each with its reason; [`offline`] holds recognition to refusing all the others; [`report`] keeps what was
//! counted and makes the table.

pub mod offline;
pub mod populated;
pub mod report;
pub mod same;
pub mod vary;
