//! The verdict: one request and what was gathered about it in, admitted or refused out.
