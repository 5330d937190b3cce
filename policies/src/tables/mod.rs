//! What the API server knows: shapes of kinds (list keys, quantities), defaults, injectors, server-owned fields.

/// How an object reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// As people write it: nothing defaulted yet.
    Submitted,
    /// As a mutating webhook sees it.
    Mutating,
    /// As a validating webhook sees it: strategies have run.
    Validating,
}

/// Live facts that injectors and custom resources need.
#[derive(Clone, Debug, Default)]
pub struct Facts {}
