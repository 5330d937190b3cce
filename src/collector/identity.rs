//! What names one version of an object, in few bytes: there are a hundred thousand of them. Kubernetes calls both opaque,
//! so what is not as the API server writes it is kept as text.

use std::fmt;

/// A uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Uid {
    /// As the API server makes them: `0c8bc1c7-3f5a-4c56-9d0c-3a2c9f1f7c11`.
    Uuid([u8; 16]),
    /// Any other.
    Text(Box<str>),
}

impl Uid {
    /// How a uuid's bytes are written.
    const GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

    fn uuid(text: &str) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        let mut slots = bytes.iter_mut();
        let mut groups = text.split('-');
        for length in Self::GROUPS {
            let group = groups.next()?.as_bytes();
            if group.len() != length * 2 {
                return None;
            }
            for pair in group.chunks_exact(2) {
                let [high, low] = pair else { return None };
                *slots.next()? = nibble(*high)? << 4 | nibble(*low)?;
            }
        }
        groups.next().is_none().then_some(bytes)
    }
}

/// Lower case alone: what is written otherwise would be written differently when it is sent.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self::uuid(text).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Uuid(bytes) => {
                let mut rest = bytes.iter();
                for (number, length) in Self::GROUPS.into_iter().enumerate() {
                    if number > 0 {
                        out.write_str("-")?;
                    }
                    for byte in rest.by_ref().take(length) {
                        write!(out, "{byte:02x}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// A resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// As the API server writes them.
    Number(u64),
    /// Any other.
    Text(Box<str>),
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        let plain = !text.starts_with(['0', '+']);
        let number = text.parse().ok().filter(|_| plain);
        number.map_or_else(|| Self::Text(text.into()), Self::Number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => out.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_what_is_sent() {
        for (text, short) in [
            ("0c8bc1c7-3f5a-4c56-9d0c-3a2c9f1f7c11", true),
            ("00000000-0000-0000-0000-000000000000", true),
            ("0C8BC1C7-3f5a-4c56-9d0c-3a2c9f1f7c11", false),
            ("0c8bc1c73f5a-4c56-9d0c-3a2c9f1f7c11", false),
            ("0c8bc1c7-3f5a-4c56-9d0c-3a2c9f1f7c11-", false),
            ("0c8bc1c7-3f5a-4c56-9d0c-3a2c9f1f7cä", false),
            ("0c8bc1c7-3f5a-4c569-d0c-3a2c9f1f7c11", false),
            ("", false),
            ("a", false),
        ] {
            let uid = Uid::from(text);
            assert_eq!((uid.to_string().as_str(), matches!(uid, Uid::Uuid(_))), (text, short), "{text}");
        }
        for (text, short) in [
            ("1", true),
            ("18446744073709551615", true),
            ("18446744073709551616", false),
            ("0", false),
            ("007", false),
            ("+7", false),
            ("-7", false),
            ("", false),
            ("7a", false),
        ] {
            let version = Version::from(text);
            assert_eq!((version.to_string().as_str(), matches!(version, Version::Number(_))), (text, short), "{text}");
        }
    }
}
