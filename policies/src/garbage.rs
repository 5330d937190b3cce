//! What the collector may delete: an object with a valid stamp whose deadline is past, whose work is finished for as long
//! as its template keeps it, or whose master is gone. Of what carries no stamp, that on which another collector's key says
//! so, where an admin has turned that on ([`crate::foreign`]), and the pods of [`crate::essential`]. Nothing else, ever: a
//! label without the annotation, a stamp that names another object, a deadline that cannot be read are reported, never
//! acted on.

use jiff::{SignedDuration, Timestamp};

use crate::foreign::Key;
use crate::lifetime::Lifetime;
use crate::object::{Gvk, ObjectRef};
use crate::stamp::{self, Marks, Record, StampError};

/// Why an object is garbage. In this order where several hold at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its deadline is past.
    Deadline,
    /// It has finished, and its time to keep is over.
    Finished,
    /// Its master is gone, and no ownerReference says so.
    MasterGone,
    /// It is no dependent, and another collector's key says so.
    Key(Key),
    /// A pod, no dependent perhaps, of which an essential container has completed ([`crate::essential`]).
    Essential,
    /// The same, of a Job: it is not deleted, its phase becomes Succeeded.
    EssentialOfJob,
    /// The same, and its Job has counted it: what still runs of it is stopped.
    EssentialCounted,
}

/// What decides about an object beside its stamp.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// When it finished; only of Jobs.
    pub finished: Option<Timestamp>,
    /// The uids of its ownerReferences.
    pub owners: &'a [&'a str],
}

/// A master's workload, whose end is that of a dependent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Master {
    /// Its namespace, which need not be that of the dependent.
    pub namespace: String,
    /// What it is.
    pub workload: ObjectRef,
}

/// What is to be done about one object that carries a key of the stamp.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// A dependent.
    Dependent {
        /// From when on it may be deleted, and why; none: not by its own doing.
        due: Option<(Timestamp, Why)>,
        /// From when on an Event says that its deadline is near; only where it is the deadline that ends it first.
        notice: Option<Timestamp>,
        /// With whose end it ends too, where Kubernetes' garbage collector does not see to that.
        master: Option<Master>,
    },
    /// No dependent: it is left alone, and the reason is reported.
    NotOurs(StampError),
    /// No key of the stamp at all.
    Unmarked,
}

/// Judges one object.
pub fn judge(marks: Marks<'_>, kind: &Gvk, namespace: &str, name: &str, circumstances: Circumstances<'_>) -> Judgement {
    let stamp = match stamp::read(marks, kind, namespace, name) {
        Err(error) => return Judgement::NotOurs(error),
        Ok(None) => return Judgement::Unmarked,
        Ok(Some(stamp)) => stamp,
    };
    let deadline = stamp.deadline.map(|at| (at, Why::Deadline));
    let finished = kept_until(&stamp.record, kind, circumstances.finished).map(|at| (at, Why::Finished));
    let due = deadline.into_iter().chain(finished).min();
    let notice = due.filter(|(_, why)| *why == Why::Deadline).and_then(|(at, _)| noticed(&stamp.record, at));
    Judgement::Dependent { due, notice, master: followed(stamp.record, circumstances.owners) }
}

/// So long before its deadline as its template says. What lives shorter than that is told of at once.
fn noticed(record: &Record, deadline: Timestamp) -> Option<Timestamp> {
    match Lifetime::parse(record.notify_before.as_deref()?).ok()? {
        Lifetime::Unlimited => None,
        Lifetime::Seconds(seconds) => {
            let before = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            Some(deadline.checked_sub(before).unwrap_or(Timestamp::MIN))
        }
    }
}

/// Whether a notice of `deadline` is worth telling at `now`: not once it is past, when its deletion is told of.
pub fn worth_telling(deadline: Timestamp, now: Timestamp) -> bool {
    !past(deadline, now)
}

/// Until when a Job that finished is kept; none: it is none, has not finished, or its template does not say.
fn kept_until(record: &Record, kind: &Gvk, finished: Option<Timestamp>) -> Option<Timestamp> {
    let is_job = kind.group == "batch" && kind.kind == "Job";
    let finished = finished.filter(|_| is_job)?;
    match Lifetime::parse(record.keep_finished.as_deref()?).ok()? {
        Lifetime::Unlimited => None,
        Lifetime::Seconds(seconds) => {
            let keep = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            finished.checked_add(keep).ok()
        }
    }
}

/// The master to follow. None where an ownerReference names it, and where the stamp does not say that its end is that of
/// the dependent: an older one does not, and neither does one by a template that says `none`.
fn followed(record: Record, owners: &[&str]) -> Option<Master> {
    let named = owners.contains(&record.workload.uid.as_str());
    (record.ends_with_master && !named)
        .then_some(Master { namespace: record.account.namespace, workload: record.workload })
}

/// What a live read of a master's workload was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// There is one of its name, with this uid.
    There(&'a str),
    /// 404, about the object of this name; none: about something else, such as its kind.
    NotFound(Option<&'a str>),
    /// The right is missing.
    Forbidden,
    /// No answer, or another error.
    Failed,
}

/// Whether `workload` is gone for good by a live read: there is none of its name, or another. Nothing is concluded from
/// an error.
pub fn gone(workload: &ObjectRef, answer: Answer<'_>) -> bool {
    match answer {
        Answer::There(uid) => !uid.is_empty() && uid != workload.uid,
        Answer::NotFound(name) => name == Some(&workload.name),
        Answer::Forbidden | Answer::Failed => false,
    }
}

/// Whether a deadline is past: at the instant itself it is.
pub fn past(deadline: Timestamp, now: Timestamp) -> bool {
    now >= deadline
}

#[cfg(test)]
#[path = "garbage_tests.rs"]
mod tests;
