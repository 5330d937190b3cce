//! When a certificate is valid, and when it is time for another. Pure: the instant is an argument.

use jiff::{SignedDuration, Timestamp};

/// From when until when a certificate is valid, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First valid instant.
    pub not_before: Timestamp,
    /// Last valid instant.
    pub not_after: Timestamp,
}

/// What a validity means at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its first instant is still to come.
    NotYet,
    /// Valid, and less than two thirds of its life are over.
    Valid,
    /// Valid, but time for another: two thirds of its life are over.
    Near,
    /// Its last instant is over.
    Expired,
}

impl Validity {
    /// A validity that begins at `start` and lasts `life`.
    pub fn lasting(start: Timestamp, life: SignedDuration) -> Self {
        Self { not_before: start, not_after: start.saturating_add(life).unwrap_or(Timestamp::MAX) }
    }

    /// The instant from which another should take its place: two thirds of life, so that a renewal that fails has a
    /// third of it left to succeed.
    pub fn renew_at(&self) -> Timestamp {
        let life = self.not_after.as_second().saturating_sub(self.not_before.as_second()).max(0);
        let at = self.not_before.as_second().saturating_add(life / 3 * 2 + life % 3 * 2 / 3);
        Timestamp::from_second(at).unwrap_or(Timestamp::MAX)
    }

    /// What it means at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        if now < self.not_before {
            State::NotYet
        } else if now > self.not_after {
            State::Expired
        } else if now >= self.renew_at() {
            State::Near
        } else {
            State::Valid
        }
    }
}

impl State {
    /// Whether a client would accept it now.
    pub fn usable(self) -> bool {
        matches!(self, Self::Valid | Self::Near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a small number")
    }

    #[test]
    fn two_thirds_of_a_life_are_enough() {
        let validity = Validity { not_before: at(1_000), not_after: at(1_300) };
        assert_eq!(validity.renew_at(), at(1_200));
        for (second, expected) in [
            (999, State::NotYet),
            (1_000, State::Valid),
            (1_199, State::Valid),
            (1_200, State::Near),
            (1_300, State::Near),
            (1_301, State::Expired),
        ] {
            assert_eq!(validity.state(at(second)), expected, "at {second}");
        }
    }

    #[test]
    fn a_life_of_nothing_or_less_is_never_plainly_valid() {
        let instant = Validity { not_before: at(5), not_after: at(5) };
        assert_eq!(instant.state(at(5)), State::Near);
        let backwards = Validity { not_before: at(9), not_after: at(5) };
        assert_eq!(backwards.state(at(7)), State::NotYet);
        assert_eq!(backwards.state(at(10)), State::Expired);
    }

    #[test]
    fn the_far_end_of_time_does_not_overflow() {
        let endless = Validity::lasting(Timestamp::MIN, SignedDuration::MAX);
        assert_eq!(endless.not_after, Timestamp::MAX);
        assert_eq!(endless.state(Timestamp::MAX), State::Near);
    }
}
