//! The webhook alone: reviews over TLS and HTTP/2, and what each costs.
