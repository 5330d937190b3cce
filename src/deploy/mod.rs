//! What is installed in a cluster, rendered from one set of values.
