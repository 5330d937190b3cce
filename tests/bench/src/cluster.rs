//! Behind a real API server: creates, start, memory.
