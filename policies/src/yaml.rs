//! YAML as kubectl reads it, with positions and scalar styles.
