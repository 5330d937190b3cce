//! What the collector may delete: deadlines as read from a stamp, and nothing else.
