//! The valve on camera labels: a bounded number of cameras has series of its own, the rest share
//! one, so that a large fleet or a mistaken subject cannot fill Prometheus.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The label value all cameras above the limit share.
pub const ANY_CAMERA: &str = "__any__";

/// Decides the `camera` label of each camera. Clones decide together.
#[derive(Debug, Clone)]
pub struct CameraLabels {
    limit: usize,
    own: Arc<Mutex<HashSet<Arc<str>>>>,
}

impl CameraLabels {
    /// At most `limit` cameras get a label of their own.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            own: Arc::new(Mutex::new(HashSet::new())),
        }
    }

    /// The camera's own name while there is room, [`ANY_CAMERA`] after. The answer for a camera
    /// never changes from its name to the other: counters must not fall back to 0.
    #[must_use]
    pub fn label(&self, camera: &str) -> Arc<str> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.get(camera) {
            return Arc::clone(known);
        }
        if own.len() >= self.limit {
            return Arc::from(ANY_CAMERA);
        }
        let label: Arc<str> = Arc::from(camera);
        own.insert(Arc::clone(&label));
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_above_the_limit_share_one_label() {
        let labels = CameraLabels::new(2);
        assert_eq!(&*labels.label("a"), "a");
        assert_eq!(&*labels.label("b"), "b");
        assert_eq!(&*labels.clone().label("c"), ANY_CAMERA);
        assert_eq!(&*labels.label("a"), "a", "a camera keeps its label");
        assert_eq!(&*CameraLabels::new(0).label("a"), ANY_CAMERA);
    }
}
