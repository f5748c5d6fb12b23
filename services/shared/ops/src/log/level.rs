//! The level at run time: set for a while, then back to what was configured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::{Registry, reload};

/// A filter that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// The text is no filter.
    #[error("`{filter}` is no log filter; write for example `debug` or `info,fanlight_edge=debug`")]
    Invalid {
        /// The text as given.
        filter: String,
    },
    /// Logging of this process was not started by [`super::init`], or has ended.
    #[error("the log level of this process cannot be changed")]
    Gone,
}

/// Changes the log level of the process. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct LogHandle {
    reload: reload::Handle<EnvFilter, Registry>,
    configured: Arc<str>,
    /// Counts the changes, so that an older reset does not undo a newer one.
    change: Arc<AtomicU64>,
}

impl LogHandle {
    pub(super) fn new(reload: reload::Handle<EnvFilter, Registry>, configured: String) -> Self {
        Self {
            reload,
            configured: configured.into(),
            change: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Uses `filter` from now on, and the configured one again after `period`; a later call
    /// starts the time anew. Needs a tokio runtime.
    ///
    /// # Errors
    /// The filter is invalid (nothing changes), or logging has ended.
    pub fn set_temporarily(&self, filter: &str, period: Duration) -> Result<(), LevelError> {
        let parsed = parse(filter)?;
        self.reload.reload(parsed).map_err(|_| LevelError::Gone)?;
        let change = self.change.fetch_add(1, Ordering::SeqCst) + 1;
        let handle = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(period).await;
            if handle.change.load(Ordering::SeqCst) == change
                && let Ok(configured) = parse(&handle.configured)
                && handle.reload.reload(configured).is_ok()
            {
                tracing::info!(filter = %handle.configured, "log level reset");
            }
        });
        Ok(())
    }

    /// The filter in use.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        self.reload.with_current(ToString::to_string).ok()
    }
}

pub(super) fn parse_argument(filter: &str) -> Result<String, LevelError> {
    parse(filter).map(|_| filter.to_owned())
}

fn parse(filter: &str) -> Result<EnvFilter, LevelError> {
    let invalid = || LevelError::Invalid {
        filter: filter.to_owned(),
    };
    // A single word that is no level would be taken for a crate's name and silence everything.
    let word = !filter.contains([',', '=', '[']);
    if filter.is_empty()
        || (word
            && filter
                .parse::<tracing::level_filters::LevelFilter>()
                .is_err())
    {
        return Err(invalid());
    }
    EnvFilter::builder().parse(filter).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(configured: &str) -> (reload::Layer<EnvFilter, Registry>, LogHandle) {
        let (layer, reload) = reload::Layer::new(parse(configured).unwrap());
        (layer, LogHandle::new(reload, configured.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_resets_itself_and_a_newer_one_starts_the_time_anew() {
        let (_layer, log) = handle("info");
        let quarter = Duration::from_secs(900);
        log.set_temporarily("debug", quarter).unwrap();
        assert_eq!(log.current().as_deref(), Some("debug"));
        tokio::time::sleep(quarter / 2).await;
        log.set_temporarily("trace", quarter).unwrap();
        tokio::time::sleep(quarter / 2 + Duration::from_secs(1)).await;
        assert_eq!(
            log.current().as_deref(),
            Some("trace"),
            "the first reset is obsolete"
        );
        tokio::time::sleep(quarter / 2).await;
        assert_eq!(log.current().as_deref(), Some("info"));
    }

    #[tokio::test]
    async fn a_bad_filter_changes_nothing() {
        let (_layer, log) = handle("warn");
        for bad in ["", "loud", "fanlight_edge=loud", "a=b=c"] {
            assert!(
                matches!(
                    log.set_temporarily(bad, Duration::ZERO),
                    Err(LevelError::Invalid { .. })
                ),
                "{bad}"
            );
        }
        assert_eq!(log.current().as_deref(), Some("warn"));
        assert!(parse_argument("info,fanlight_edge=debug").is_ok());
    }

    #[tokio::test]
    async fn a_log_that_ended_is_an_error() {
        let (layer, log) = handle("info");
        drop(layer);
        assert!(matches!(
            log.set_temporarily("debug", Duration::ZERO),
            Err(LevelError::Gone)
        ));
        assert_eq!(log.current(), None);
    }
}
