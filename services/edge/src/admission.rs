//! How many may watch: in all, per camera and per client address. Permits are guards.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanlight_bus::CameraId;

/// Limits; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of the whole edge.
    pub viewers: usize,
    /// Of one camera.
    pub per_camera: usize,
    /// Of one client address (IPv6: one /64, which is what one household has).
    pub per_address: usize,
}

/// Why nobody more is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The edge.
    Edge,
    /// The camera.
    Camera,
    /// The address.
    Address,
}

/// Counts who is in. Clones count together.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    cameras: HashMap<CameraId, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// One viewer's place. Dropped, it is free again.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    camera: CameraId,
    address: IpAddr,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, counts: &Counts, camera: &CameraId, address: IpAddr) -> Result<(), Full> {
        let reached = |limit: usize, count: usize| limit != 0 && count >= limit;
        let limits = &self.limits;
        let of = |count: Option<&usize>| count.copied().unwrap_or(0);
        if reached(limits.per_address, of(counts.addresses.get(&address))) {
            Err(Full::Address)
        } else if reached(limits.viewers, counts.all) {
            Err(Full::Edge)
        } else if reached(limits.per_camera, of(counts.cameras.get(camera))) {
            Err(Full::Camera)
        } else {
            Ok(())
        }
    }
}

impl Admission {
    /// Nobody is in.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            counts: Mutex::default(),
        }))
    }

    /// Lets a viewer in.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn enter(&self, camera: &CameraId, address: IpAddr) -> Result<Permit, Full> {
        let address = group(address);
        let mut counts = self.0.lock();
        self.0.check(&counts, camera, address)?;
        counts.all += 1;
        // Only counted where it is limited: nobody's address is kept for nothing.
        if self.0.limits.per_camera != 0 {
            *counts.cameras.entry(camera.clone()).or_default() += 1;
        }
        if self.0.limits.per_address != 0 {
            *counts.addresses.entry(address).or_default() += 1;
        }
        Ok(Permit {
            shared: Arc::clone(&self.0),
            camera: camera.clone(),
            address,
        })
    }

    /// Whether a viewer would be let in.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn would_enter(&self, camera: &CameraId, address: IpAddr) -> Result<(), Full> {
        self.0.check(&self.0.lock(), camera, group(address))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.shared.lock();
        counts.all -= 1;
        leave(&mut counts.cameras, &self.camera);
        leave(&mut counts.addresses, &self.address);
    }
}

fn leave<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// The unit that per-address limits count.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(name: &str) -> CameraId {
        name.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_limit_holds_and_a_place_is_free_again() {
        let admission = Admission::new(Limits {
            viewers: 3,
            per_camera: 2,
            per_address: 2,
        });
        let (a, b) = (camera("a"), camera("b"));
        let first = admission.enter(&a, ip("10.0.0.1")).unwrap();
        let _second = admission.enter(&b, ip("10.0.0.1")).unwrap();
        assert_eq!(
            admission.enter(&a, ip("10.0.0.1")).unwrap_err(),
            Full::Address
        );
        let _third = admission.enter(&a, ip("10.0.0.2")).unwrap();
        assert_eq!(admission.enter(&b, ip("10.0.0.3")).unwrap_err(), Full::Edge);
        drop(first);
        assert_eq!(admission.would_enter(&a, ip("10.0.0.1")), Ok(()));
        let _fourth = admission.enter(&a, ip("10.0.0.1")).unwrap();
        drop(_second);
        assert_eq!(
            admission.enter(&a, ip("10.0.0.9")).unwrap_err(),
            Full::Camera
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let admission = Admission::new(Limits::default());
        let all: Vec<_> = (0..1000)
            .map(|_| admission.enter(&camera("a"), ip("10.0.0.1")).unwrap())
            .collect();
        drop(all);
        assert_eq!(admission.0.lock().all, 0);
        assert!(admission.0.lock().addresses.is_empty());
    }

    #[test]
    fn ipv6_counts_by_64() {
        let admission = Admission::new(Limits {
            per_address: 1,
            ..Limits::default()
        });
        let _first = admission.enter(&camera("a"), ip("2001:db8::1")).unwrap();
        assert!(
            admission
                .enter(&camera("a"), ip("2001:db8::ffff:2"))
                .is_err()
        );
        assert!(admission.enter(&camera("a"), ip("2001:db8:0:1::1")).is_ok());
        let _v4 = admission
            .enter(&camera("a"), ip("::ffff:10.0.0.1"))
            .unwrap();
        assert!(
            admission.enter(&camera("a"), ip("10.0.0.1")).is_err(),
            "the same in two forms"
        );
    }
}
