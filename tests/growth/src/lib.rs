//! How the work of retinue grows with what others write.
//!
//! A [`world::World`] is one template ConfigMap and one object; [`dimension::Dimension`]s make it large in one respect
//! each. [`case`] counts them alone and in pairs at 1, 4 and 16 times a base size (`tests/growth/run`); the program
//! `worst` climbs to the combination that takes longest ([`genome`]).

pub mod authors;
pub mod callers;
pub mod case;
pub mod clock;
pub mod dimension;
pub mod genome;
pub mod schema;
pub mod units;
pub mod work;
pub mod world;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
