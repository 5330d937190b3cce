//! How the process holds its memory, and what part of it is for template ConfigMaps.

use policies::quantity::Quantity;

use crate::cluster::templates::KEPT;

/// Has the heap in small pages.
///
/// The allocator asks for huge pages, and has a part of its heap for each thread and size: each then takes 2 MB at its
/// first touch. With a heap of 1 MB that were 18 MB resident, and 3 MB in small pages.
pub fn small_pages() {
    // A kernel that does not know this has no huge pages to give.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// The least that may be said: less would keep hardly any.
pub(crate) const LEAST: u64 = 1 << 20;
/// The part of the container's memory limit: the rest is for reviews and lints in flight (at most 320 MiB, and half as much
/// again that the allocator gives back later), for connections (150 MB were seen), for compiling and linting (about 100 MB
/// each for a ConfigMap of a megabyte), and for all else that is known of the cluster.
const PART: u64 = 4;

/// Where a container sees its own memory limit: cgroup v2, and v1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Version 1 writes about 2^63 where there is no limit.
const NO_LIMIT: u64 = 1 << 50;

/// The memory limit of this container, in bytes; none where it has none, or it is not known.
pub fn limit() -> Option<u64> {
    LIMITS.iter().find_map(|file| read_limit(&std::fs::read_to_string(file).ok()?))
}

fn read_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
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
    fn a_quantity_says_how_much_or_the_limit_or_nobody() {
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("1G"), Ok(1_000_000_000));
        for bad in ["", "0", "-1Mi", "100k", "many", "1e40"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(part_of(Some(768 << 20)), 192 << 20);
        assert_eq!(part_of(Some(limit_for(300 << 20))), 300 << 20);
        assert_eq!(part_of(Some(1)), LEAST);
        assert_eq!(part_of(None), KEPT);
    }

    #[test]
    fn a_limit_is_a_number_of_bytes_and_neither_max_nor_enormous() {
        assert_eq!(read_limit("536870912\n"), Some(512 << 20));
        assert_eq!(read_limit("max\n"), None);
        assert_eq!(read_limit("9223372036854771712\n"), None);
        assert_eq!(read_limit(""), None);
    }
}
