//! The pure core of retinue: what a template is, what it admits, and what a master may do.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no environment, no async. Around it the
//! binary gathers (watches, live reads), asks [`verdict::decide`], and acts.
//!
//! The rooms: [`yaml`] reads manifests as kubectl does; [`parameter`] and [`template`] turn them into patterns;
//! [`library`] holds the compiled templates of every ConfigMap; [`tables`] knows what the API server completes;
//! [`render`] and [`recognise`] run a template forwards and backwards; [`caller`] says who asks; [`verdict`] decides;
//! [`stamp`] marks what was admitted; [`rbac`] says which rights a master needs; [`lifetime`] is durations and deadlines; [`garbage`] is what may be deleted,
//! [`collectable`] whether the collector could delete it,
//! [`foreign`] what other collectors' keys say;
//! [`essential`] says when a pod is done although sidecars run;
//! [`budget`] bounds work; [`run`] reads a Job and its pods; [`doctor`] says what is wrong with an installation.

pub mod accept;
pub mod budget;
pub mod caller;
pub mod collectable;
pub mod difference;
pub mod doctor;
pub mod essential;
pub mod foreign;
pub mod garbage;
pub mod keys;
pub mod library;
pub mod lifetime;
pub mod lint;
pub mod object;
pub mod parameter;
pub mod quantity;
pub mod rbac;
pub mod recognise;
pub mod render;
pub mod request;
pub mod run;
pub mod sample;
mod shared;
pub mod sidecars;
pub mod stamp;
pub mod tables;
pub mod template;
pub mod text;
pub mod verdict;
pub mod yaml;
