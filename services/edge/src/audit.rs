//! The audit log: who signed in, who watched what from when to when, and who was refused and
//! why. Lines have the target `audit`, so that a log system can keep them apart; none holds a
//! credential.

use std::net::IpAddr;

use fanlight_auth::{Denied, Grant};
use fanlight_bus::CameraId;
use fanlight_ops::throttle::Throttle;

/// A request without, or with a bad, credential. Those without one are everyday: a page asks
/// before it signs in.
pub(crate) fn denied(lines: &Throttle, remote: IpAddr, denied: Denied) {
    let key = match denied {
        Denied::NotSignedIn => return,
        Denied::Expired => "expired",
        Denied::Invalid(reason) => reason,
    };
    // a client that asks on and on is one line a second
    if let Some(suppressed) = lines.allow(key) {
        tracing::warn!(target: "audit", %remote, reason = %denied, suppressed, "refused: not signed in");
    }
}

pub(crate) fn not_allowed(lines: &Throttle, remote: IpAddr, grant: &Grant, camera: &CameraId) {
    if let Some(suppressed) = lines.allow("camera_not_allowed") {
        tracing::warn!(
            target: "audit",
            %remote,
            who = %grant.who,
            how = grant.how.as_str(),
            %camera,
            suppressed,
            "refused: not this camera"
        );
    }
}

pub(crate) fn signed_in(remote: IpAddr, who: &str) {
    tracing::info!(target: "audit", %remote, who, "signed in");
}

/// `name` may be anything, also a password typed into the wrong field: only a name that looks
/// like one is told.
pub(crate) fn sign_in_refused(
    lines: &Throttle,
    remote: IpAddr,
    known_form: Option<&str>,
    reason: &str,
) {
    if let Some(suppressed) = lines.allow("sign in") {
        let who = known_form.unwrap_or("(not a name)");
        tracing::warn!(target: "audit", %remote, who, reason, suppressed, "sign-in refused");
    }
}

pub(crate) fn signed_out(remote: IpAddr, who: &str) {
    tracing::info!(target: "audit", %remote, who, "signed out");
}

pub(crate) fn shared(remote: IpAddr, grant: &Grant, camera: &CameraId, expires: u64) {
    tracing::info!(target: "audit", %remote, who = %grant.who, %camera, expires, "share link made");
}
