//! retinue installed into a real control plane, with a real master: what the demo plays and the tests ask.
//!
//! Everything is as on a cluster: the rendered install manifest, each role under its own narrow account, a master
//! Deployment whose pod runs (on a node that kwok plays), a token that is bound to that pod.

mod admission_file;
mod bounds;
mod client_ca;
pub mod heavy;
mod installation;
pub mod manifests;
mod master;
pub mod play;
mod process;
pub mod stage;
pub mod stranger;

pub use admission_file::AdmissionFile;
pub use installation::Installation;
pub use master::Master;
pub use process::Server;
