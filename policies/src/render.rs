//! Forwards: parameters in, manifest out.
