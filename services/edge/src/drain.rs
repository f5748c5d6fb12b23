//! Leaving without anybody noticing: unready at once, then notices spread over the window, then
//! the rest is closed.

use std::sync::Arc;
use std::time::Duration;

use fanlight_ops::shutdown::Shutdown;
use rand::seq::SliceRandom;
use tokio::time::{Instant, sleep, sleep_until};

use crate::hub::{Command, Hubs, Slot};
use crate::viewer::CLOSING;

/// The part of the window over which notices are spread; the rest is for players to move.
const SPREAD: f64 = 0.7;

/// Pause between looks at whether everybody has left.
const LOOK: Duration = Duration::from_millis(50);

/// Sends all viewers away. Returns when none is left, or the window and the close handshakes
/// are over. `delay` and `window` as configured; `abort` cuts both short.
pub(crate) async fn drain(hubs: &Hubs, shutdown: &Shutdown, delay: Duration, window: Duration) {
    let whole = async {
        if hubs.total_viewers() > 0 || !delay.is_zero() {
            tracing::info!(
                viewers = hubs.total_viewers(),
                delay_seconds = delay.as_secs_f64(),
                window_seconds = window.as_secs_f64(),
                "draining"
            );
        }
        sleep(delay).await;
        let began = Instant::now();
        let mut viewers = hubs.begin_drain(began + window);
        if !window.is_zero() {
            viewers.shuffle(&mut rand::rng());
            notify(&viewers, began, window.mul_f64(SPREAD)).await;
            until_empty(hubs, began + window).await;
        }
    };
    tokio::select! {
        () = whole => {}
        () = shutdown.abort.cancelled() => {}
    }
    for slot in hubs.slots() {
        slot.command(Command::Close);
    }
    until_empty(hubs, Instant::now() + CLOSING + LOOK).await;
}

/// Gives notice to one after the other, evenly over `spread`.
async fn notify(viewers: &[Arc<Slot>], began: Instant, spread: Duration) {
    for (index, slot) in viewers.iter().enumerate() {
        let share = index as f64 / viewers.len() as f64;
        sleep_until(began + spread.mul_f64(share)).await;
        slot.command(Command::Drain);
    }
}

async fn until_empty(hubs: &Hubs, until: Instant) {
    while hubs.total_viewers() > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
}
