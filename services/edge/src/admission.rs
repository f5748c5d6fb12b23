//! How many may watch: in all, per camera, per client address and per user. Permits are guards.

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
    /// Of one signed-in user.
    pub per_user: usize,
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
    /// The user.
    User,
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
    users: HashMap<Arc<str>, usize>,
}

/// Somebody who asks to be let in.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Which camera they want.
    pub camera: &'a CameraId,
    /// Where they come from.
    pub address: IpAddr,
    /// Who they are, where that is known.
    pub user: Option<&'a Arc<str>>,
}

/// One viewer's place. Dropped, it is free again.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    camera: CameraId,
    address: IpAddr,
    user: Option<Arc<str>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, counts: &Counts, asker: Asker<'_>) -> Result<(), Full> {
        let reached = |limit: usize, count: usize| limit != 0 && count >= limit;
        let limits = &self.limits;
        let of = |count: Option<&usize>| count.copied().unwrap_or(0);
        let of_user = of(asker.user.and_then(|user| counts.users.get(user)));
        if reached(
            limits.per_address,
            of(counts.addresses.get(&group(asker.address))),
        ) {
            Err(Full::Address)
        } else if reached(limits.per_user, of_user) {
            Err(Full::User)
        } else if reached(limits.viewers, counts.all) {
            Err(Full::Edge)
        } else if reached(limits.per_camera, of(counts.cameras.get(asker.camera))) {
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
    pub fn enter(&self, asker: Asker<'_>) -> Result<Permit, Full> {
        let Asker { camera, user, .. } = asker;
        let address = group(asker.address);
        let mut counts = self.0.lock();
        self.0.check(&counts, asker)?;
        counts.all += 1;
        // Only counted where it is limited: nobody's address is kept for nothing.
        if self.0.limits.per_camera != 0 {
            *counts.cameras.entry(camera.clone()).or_default() += 1;
        }
        if self.0.limits.per_address != 0 {
            *counts.addresses.entry(address).or_default() += 1;
        }
        let user = user.filter(|_| self.0.limits.per_user != 0).cloned();
        if let Some(user) = &user {
            *counts.users.entry(Arc::clone(user)).or_default() += 1;
        }
        Ok(Permit {
            shared: Arc::clone(&self.0),
            camera: camera.clone(),
            address,
            user,
        })
    }

    /// Whether a viewer would be let in.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn would_enter(&self, asker: Asker<'_>) -> Result<(), Full> {
        self.0.check(&self.0.lock(), asker)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.shared.lock();
        counts.all -= 1;
        leave(&mut counts.cameras, &self.camera);
        leave(&mut counts.addresses, &self.address);
        if let Some(user) = &self.user {
            leave(&mut counts.users, user);
        }
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
pub(crate) fn group(address: IpAddr) -> IpAddr {
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

    fn by<'a>(camera: &'a CameraId, address: &str) -> Asker<'a> {
        Asker {
            camera,
            address: address.parse().unwrap(),
            user: None,
        }
    }

    #[test]
    fn each_limit_holds_and_a_place_is_free_again() {
        let admission = Admission::new(Limits {
            viewers: 3,
            per_camera: 2,
            per_address: 2,
            ..Limits::default()
        });
        let (a, b) = (camera("a"), camera("b"));
        let first = admission.enter(by(&a, "10.0.0.1")).unwrap();
        let _second = admission.enter(by(&b, "10.0.0.1")).unwrap();
        assert_eq!(
            admission.enter(by(&a, "10.0.0.1")).unwrap_err(),
            Full::Address
        );
        let _third = admission.enter(by(&a, "10.0.0.2")).unwrap();
        assert_eq!(admission.enter(by(&b, "10.0.0.3")).unwrap_err(), Full::Edge);
        drop(first);
        assert_eq!(admission.would_enter(by(&a, "10.0.0.1")), Ok(()));
        let _fourth = admission.enter(by(&a, "10.0.0.1")).unwrap();
        drop(_second);
        assert_eq!(
            admission.enter(by(&a, "10.0.0.9")).unwrap_err(),
            Full::Camera
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let admission = Admission::new(Limits::default());
        let all: Vec<_> = (0..1000)
            .map(|_| admission.enter(by(&camera("a"), "10.0.0.1")).unwrap())
            .collect();
        drop(all);
        assert_eq!(admission.0.lock().all, 0);
        assert!(admission.0.lock().addresses.is_empty());
    }

    #[test]
    fn a_user_counts_from_everywhere() {
        let admission = Admission::new(Limits {
            per_user: 1,
            ..Limits::default()
        });
        let (a, anna, ben) = (camera("a"), Arc::from("anna"), Arc::from("ben"));
        let of = |user, address| Asker {
            user: Some(user),
            ..by(&a, address)
        };
        let first = admission.enter(of(&anna, "10.0.0.1")).unwrap();
        assert_eq!(
            admission.enter(of(&anna, "10.0.0.2")).unwrap_err(),
            Full::User
        );
        let _ben = admission.enter(of(&ben, "10.0.0.2")).unwrap();
        drop(first);
        assert!(admission.enter(of(&anna, "10.0.0.2")).is_ok());
    }

    #[test]
    fn ipv6_counts_by_64() {
        let admission = Admission::new(Limits {
            per_address: 1,
            ..Limits::default()
        });
        let _first = admission.enter(by(&camera("a"), "2001:db8::1")).unwrap();
        assert!(
            admission
                .enter(by(&camera("a"), "2001:db8::ffff:2"))
                .is_err()
        );
        assert!(admission.enter(by(&camera("a"), "2001:db8:0:1::1")).is_ok());
        let _v4 = admission
            .enter(by(&camera("a"), "::ffff:10.0.0.1"))
            .unwrap();
        assert!(
            admission.enter(by(&camera("a"), "10.0.0.1")).is_err(),
            "the same in two forms"
        );
    }
}
