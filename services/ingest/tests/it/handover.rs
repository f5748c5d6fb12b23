//! Two ingests of one camera.

use std::time::Duration;

use fanlight_bus::{Bus, State};
use tokio::time::Instant;

use crate::lab::Lab;

#[tokio::test]
async fn the_older_one_stands_by_and_takes_over_again() {
    let bus = Bus::memory();
    let flags = [
        "--input",
        "test",
        "--preset",
        "ultrafast",
        "--size",
        "160x120",
    ];
    let mut old = Lab::on(bus.clone(), &flags).await;
    old.live().await;
    let mut new = Lab::on(bus.clone(), &flags).await;
    let told = new.live().await;
    let both = Instant::now();
    while !old.children().is_empty() {
        assert!(
            both.elapsed() < Duration::from_secs(9),
            "the older one still publishes"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        both.elapsed() > Duration::from_secs(4),
        "both publish for a while: {:?}",
        both.elapsed()
    );
    assert!(!new.children().is_empty(), "the newer one goes on");
    new.record(0.5).await;
    let chunks = new.record(1.0).await;
    assert!(
        chunks.iter().all(|c| Some(c.run.to_string()) == told.run),
        "one publisher"
    );

    new.stop().await;
    let gone = Instant::now();
    let back = old
        .announced("back", |a| a.state == State::Live && a.run > told.run)
        .await;
    assert!(
        gone.elapsed() < Duration::from_secs(3),
        "a goodbye is heard: {:?}",
        gone.elapsed()
    );
    assert!(back.run > told.run);
    old.stop().await;
}
