//! How much memory template ConfigMaps may take, as a flag or the container's limit says.

use crate::memory;

/// The memory of template ConfigMaps.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MemoryArgs {
    /// Memory for all template ConfigMaps together, by what they would take in use, such as 192Mi
    ///
    /// Namespaces share it. One that wants more than the others leave keeps its oldest ConfigMaps; the others of it cannot
    /// be used. The same for every replica. [default: a quarter of the container's memory limit; 192Mi without one]
    #[arg(long, value_name = "QUANTITY", value_parser = memory::bytes)]
    pub template_memory: Option<u64>,
}

impl MemoryArgs {
    /// Bytes.
    pub fn templates(&self) -> u64 {
        self.template_memory.unwrap_or_else(|| memory::part_of(memory::limit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_says_how_much() {
        assert_eq!(MemoryArgs { template_memory: Some(7) }.templates(), 7);
    }
}
