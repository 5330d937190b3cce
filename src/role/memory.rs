//! How much memory template ConfigMaps may take, as a flag or the container's limit says.

use policies::quantity::Quantity;

use crate::cluster::templates::KEPT;
use crate::memory;

/// The least that may be said: less would keep hardly any.
pub(crate) const LEAST: u64 = 1 << 20;
/// The part of the container's memory limit: the rest is for reviews and lints in flight (at most 320 MiB), for compiling and
/// linting (about 100 MB each for a ConfigMap of a megabyte), and for all else that is known of the cluster.
const PART: u64 = 4;

/// The memory of template ConfigMaps.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MemoryArgs {
    /// Memory for all template ConfigMaps together, by what they would take in use, such as 192Mi
    ///
    /// Namespaces share it. One that wants more than the others leave keeps its oldest ConfigMaps; the others of it cannot
    /// be used. The same for every replica. [default: a quarter of the container's memory limit; 192Mi without one]
    #[arg(long, value_name = "QUANTITY", value_parser = bytes)]
    pub template_memory: Option<u64>,
}

impl MemoryArgs {
    /// Bytes.
    pub fn templates(&self) -> u64 {
        self.template_memory.unwrap_or_else(|| part_of(memory::limit()))
    }
}

/// What is kept under this memory limit of the container.
pub(crate) fn part_of(limit: Option<u64>) -> u64 {
    limit.map_or(KEPT, |limit| (limit / PART).max(LEAST))
}

/// The memory limit of a container that keeps so much.
pub(crate) fn limit_for(templates: u64) -> u64 {
    templates.saturating_mul(PART)
}

/// A quantity, in bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("write a quantity of at least {}Mi, as in 192Mi or 1Gi", LEAST >> 20);
    let quantity: Quantity = text.parse().map_err(|_| expected())?;
    let bytes = u64::try_from(quantity.amount() / 1_000_000_000).map_err(|_| expected())?;
    if bytes < LEAST { Err(expected()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_says_how_much_or_the_limit_or_nobody() {
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("1G"), Ok(1_000_000_000));
        for bad in ["", "0", "-1Mi", "100k", "many", "1e40"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(part_of(Some(768 << 20)), 192 << 20);
        assert_eq!(part_of(Some(limit_for(300 << 20))), 300 << 20);
        assert_eq!(part_of(Some(1)), LEAST);
        assert_eq!(part_of(None), KEPT);
        assert_eq!(MemoryArgs { template_memory: Some(7) }.templates(), 7);
    }
}
