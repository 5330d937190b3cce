//! How many Events are written: a tenth of what deleting costs the API server, at most, where much is deleted at once. The log
//! has every deletion. Pure: instants are arguments.

use std::time::Duration;

use tokio::time::Instant;

/// So many at once,
const BURST: u32 = 100;
/// and one more each time that this has passed.
const EACH: Duration = Duration::from_millis(100);

/// What may still be written.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Up to when what was written has used up the time, at [`EACH`] each.
    spent: Option<Instant>,
}

impl Allowance {
    /// Whether one more may be written now; then it counts.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let spent = self.spent.map_or(now, |spent| spent.max(now));
        if spent.duration_since(now) >= EACH * BURST {
            return false;
        }
        self.spent = Some(spent + EACH);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_and_then_so_many_a_second() {
        let start = Instant::now();
        let mut allowance = Allowance::default();
        let written = |allowance: &mut Allowance, at| (0..1_000).filter(|_| allowance.take(at)).count();
        assert_eq!(written(&mut allowance, start), 100);
        assert_eq!(written(&mut allowance, start + Duration::from_secs(1)), 10);
        assert_eq!(written(&mut allowance, start + Duration::from_secs(100)), 100);
    }
}
