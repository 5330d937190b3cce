//! The stamp: ownerReference, labels and annotation on a dependent; written, read, verified.
