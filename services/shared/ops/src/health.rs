//! Readiness as a set of named conditions, each with the reason it fails, and draining.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// The health of one process. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    conditions: Vec<ConditionReport>,
    draining: bool,
    dead: Option<String>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every required condition holds and the process is not draining.
    pub ready: bool,
    /// All conditions in the order they were registered; `draining` comes last while it drains.
    pub conditions: Vec<ConditionReport>,
}

/// One named condition of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionReport {
    /// Short and stable, such as `nats`.
    pub name: &'static str,
    /// Whether it holds now.
    pub ok: bool,
    /// Whether readiness depends on it.
    pub required: bool,
    /// Why it does not hold; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The handle of whoever knows whether a condition holds.
#[derive(Debug, Clone)]
pub struct Condition {
    health: Health,
    index: usize,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Without conditions, hence ready: register them before the admin listener is served.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State::default()),
                ready: watch::Sender::new(true),
            }),
        }
    }

    /// A condition readiness depends on. It does not hold until [`Condition::set_ok`];
    /// `initial_reason` says what is awaited. A name registered before gives the same condition.
    pub fn condition(&self, name: &'static str, initial_reason: impl Into<String>) -> Condition {
        self.register(name, true, initial_reason.into())
    }

    /// A condition that is shown but does not affect readiness.
    pub fn info(&self, name: &'static str, initial_reason: impl Into<String>) -> Condition {
        self.register(name, false, initial_reason.into())
    }

    /// From now on unready, whatever the conditions say. There is no way back.
    pub fn set_draining(&self) {
        self.update(|state| state.draining = true);
    }

    /// From now on `/livez` fails: the process cannot recover and should be restarted.
    pub fn set_dead(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.update(|state| state.dead = Some(reason));
    }

    /// Whether [`set_draining`](Self::set_draining) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// The reason given to [`set_dead`](Self::set_dead).
    ///
    /// # Errors
    /// The process is not alive in the sense of `/livez`.
    pub fn liveness(&self) -> Result<(), String> {
        self.lock().dead.clone().map_or(Ok(()), Err)
    }

    /// All conditions as they are now.
    #[must_use]
    pub fn readiness(&self) -> Report {
        let state = self.lock();
        let mut conditions = state.conditions.clone();
        if state.draining {
            conditions.push(ConditionReport {
                name: "draining",
                ok: false,
                required: true,
                reason: Some("this replica is leaving".to_owned()),
            });
        }
        Report {
            ready: state.ready(),
            conditions,
        }
    }

    /// Follows readiness, for whoever must wait for it.
    #[must_use]
    pub fn watch_ready(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    fn register(&self, name: &'static str, required: bool, reason: String) -> Condition {
        let mut index = 0;
        self.update(|state| {
            index = state
                .conditions
                .iter()
                .position(|c| c.name == name)
                .unwrap_or_else(|| {
                    state.conditions.push(ConditionReport {
                        name,
                        ok: false,
                        required,
                        reason: Some(reason),
                    });
                    state.conditions.len() - 1
                });
        });
        Condition {
            health: self.clone(),
            index,
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let ready = state.ready();
        self.inner
            .ready
            .send_if_modified(|old| std::mem::replace(old, ready) != ready);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ready(&self) -> bool {
        !self.draining && self.conditions.iter().all(|c| c.ok || !c.required)
    }
}

impl Condition {
    /// The condition holds.
    pub fn set_ok(&self) {
        self.set(true, None);
    }

    /// The condition does not hold, because of `reason`: a sentence for the operator, redacted.
    pub fn set_failed(&self, reason: impl Into<String>) {
        let reason = crate::secret::redact(&reason.into()).into_owned();
        self.set(false, Some(reason));
    }

    /// Whether it holds now.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.health
            .lock()
            .conditions
            .get(self.index)
            .is_some_and(|c| c.ok)
    }

    fn set(&self, ok: bool, reason: Option<String>) {
        self.health.update(|state| {
            if let Some(condition) = state.conditions.get_mut(self.index) {
                condition.ok = ok;
                condition.reason = reason;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_required_condition_holds() {
        let health = Health::new();
        let listener = health.condition("listener", "not bound yet");
        let nats = health.condition("nats", "not connected yet");
        let link = health.info("nats_now", "not connected yet");
        assert!(!health.readiness().ready);
        listener.set_ok();
        nats.set_ok();
        let report = health.readiness();
        assert!(
            report.ready,
            "an informative condition does not count: {report:?}"
        );
        assert_eq!(
            report.conditions[2].reason.as_deref(),
            Some("not connected yet")
        );
        link.set_failed("gone");
        assert!(health.readiness().ready);
        nats.set_failed("lost");
        assert!(!health.readiness().ready);
        assert!(!nats.is_ok());
    }

    #[test]
    fn draining_is_unready_for_good() {
        let health = Health::new();
        let nats = health.condition("nats", "not connected yet");
        nats.set_ok();
        let ready = health.watch_ready();
        assert!(*ready.borrow());
        health.set_draining();
        nats.set_ok();
        let report = health.readiness();
        assert!(!report.ready && !*ready.borrow() && health.is_draining());
        assert_eq!(report.conditions.last().map(|c| c.name), Some("draining"));
        assert!(health.liveness().is_ok(), "draining is alive");
        health.set_dead("a task panicked");
        assert_eq!(health.liveness(), Err("a task panicked".to_owned()));
    }

    #[test]
    fn a_name_stands_for_one_condition() {
        let health = Health::new();
        health.condition("nats", "a").set_ok();
        health.condition("nats", "b");
        let report = health.readiness();
        assert_eq!(report.conditions.len(), 1);
        assert!(report.ready);
    }

    #[test]
    fn the_report_is_stable_json_without_secrets() {
        let health = Health::new();
        let nats = health.condition("nats", "x");
        nats.set_failed("connect to nats://edge:hunter2@broker:4222: refused");
        assert_eq!(
            serde_json::to_string(&health.readiness()).unwrap(),
            r#"{"ready":false,"conditions":[{"name":"nats","ok":false,"required":true,"reason":"connect to nats://[redacted]@broker:4222: refused"}]}"#
        );
    }
}
