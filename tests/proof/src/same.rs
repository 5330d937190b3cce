//! Changes that leave an object the same to the API server. Each rule has its reason; whatever no rule names is another
//! object, and must be refused.

use policies::object::Gvk;

use crate::vary::Variation;

/// Why the API server does not tell the variation from the object as it was; none where it does.
pub fn reason(_kind: &Gvk, _variation: &Variation) -> Option<&'static str> {
    None
}
