use super::{Admission, Cause, Refusal, Situation};
use crate::request::Request;

pub(crate) fn judge(_request: &Request, _situation: &Situation) -> Result<Admission, Refusal> {
    Err(Refusal::new(Cause::Internal, "not built yet"))
}
