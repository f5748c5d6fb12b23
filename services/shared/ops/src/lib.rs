//! What every Fanlight service needs around its own work: logs and traces, metrics, health, the
//! admin listener, an orderly shutdown, exit codes, and secrets that cannot reach any of them.
//!
//! Start order: [`exit::parse_args`], [`log::init`], [`metrics::Metrics::new`],
//! [`health::Health::new`], [`admin::bind`] and [`admin::serve`], then the service itself. The
//! admin listener stops last, so that a draining service still answers `/readyz`.

pub mod admin;
pub mod doctor;
pub mod exit;
pub mod health;
pub mod log;
pub mod metrics;
pub mod secret;
pub mod shutdown;
pub mod throttle;
pub mod trace;
