//! `fanlight-edge doctor`: whether the ports are free, what NATS lets us do, which cameras are
//! announced and can be joined at once, and whether the clocks agree. It serves nobody.

use std::net::SocketAddr;
use std::time::Duration;

use fanlight_bus::diagnose::{self, Access, Heard, NoAccess};
use fanlight_bus::{Announcement, Bus, CameraId, GopEvent, NatsConfig, State, StreamId};
use fanlight_ops::doctor::{Report, is_running};
use tokio::time::{Instant, timeout_at};

use crate::config::EdgeConfig;

/// Longest wait for the link to the broker.
const LINK_LIMIT: Duration = Duration::from_secs(4);

/// By contract an ingest has answered by then.
const GOP_LIMIT: Duration = Duration::from_secs(1);

/// Checks everything that is configured.
pub async fn check(report: &mut Report, config: &EdgeConfig, nats: NatsConfig, admin: SocketAddr) {
    report.ok(
        "configuration",
        format!("{} cameras named", config.cameras.len()),
    );
    let running = is_running("edge", admin).await;
    report.port("--listen", config.listen, running).await;
    report.port("--admin-listen", admin, running).await;
    if let Err(error) = broker(report, config, nats).await {
        report.problem("nats", error.to_string(), error.remedy());
    }
}

async fn broker(
    report: &mut Report,
    config: &EdgeConfig,
    nats: NatsConfig,
) -> Result<(), NoAccess> {
    let status = [nats.subjects.all_status()];
    let first = diagnose::access(nats.clone(), &[], &status).await?;
    let ms = first.round_trip.as_secs_f64() * 1000.0;
    report.ok(
        "nats",
        format!("version {}, answers in {ms:.1} ms", first.version),
    );

    let bus = Bus::nats(nats.clone()).await?;
    if !diagnose::connected(&bus, LINK_LIMIT).await {
        return Err(NoAccess::Lost);
    }
    let period = Duration::from_secs(Announcement::PERIOD_SECONDS) + Duration::from_millis(500);
    let heard = diagnose::listen(&bus, period).await?;

    let announced = heard.iter().map(|h| h.announcement.stream());
    let named = config.cameras.iter().cloned().map(StreamId::main);
    if let Some(stream) = named.chain(announced).next() {
        let (media, gop) = (nats.subjects.media(&stream), nats.subjects.gop(&stream));
        let second = diagnose::access(nats, &[gop], &[media]).await?;
        permissions(report, &[&first, &second]);
    } else {
        permissions(report, &[&first]);
    }
    cameras(report, &config.cameras, &heard);
    if let Some(live) = heard.iter().find(|h| h.announcement.state == State::Live) {
        replay(report, &bus, &live.announcement).await;
    }
    let name = |a: &Announcement| a.camera.to_string();
    report.clocks(heard.iter().map(|h| (name(&h.announcement), h.offset())));
    bus.close().await;
    Ok(())
}

fn permissions(report: &mut Report, all: &[&Access]) {
    let publish: Vec<_> = all.iter().flat_map(|a| a.publish_denied.clone()).collect();
    let mut subscribe: Vec<_> = all
        .iter()
        .flat_map(|a| a.subscribe_denied.clone())
        .collect();
    if all.iter().any(|a| a.inbox_denied) {
        subscribe.push("_INBOX.fanlight-edge.>".to_owned());
    }
    let fine = publish.is_empty() && subscribe.is_empty();
    for (verb, subjects) in [("publish", publish), ("subscribe to", subscribe)] {
        if !subjects.is_empty() {
            report.problem(
                "nats permissions",
                format!("this user may not {verb} {}", subjects.join(", ")),
                "extend the user's permissions in the server's configuration (docs/wire.md lists the subjects)",
            );
        }
    }
    if fine {
        report.ok(
            "nats permissions",
            "may publish and subscribe to its subjects",
        );
    }
}

/// Every camera that is named must be announced, and what is announced should be live.
fn cameras(report: &mut Report, named: &[CameraId], heard: &[Heard]) {
    const CHECK: &str = "cameras";
    let of = |camera: &CameraId| {
        let mut all = heard.iter().filter(|h| h.announcement.camera == *camera);
        all.next().is_some()
    };
    for camera in named.iter().filter(|camera| !of(camera)) {
        report.problem(
            CHECK,
            format!("no ingest announces `{camera}`"),
            "start its fanlight-ingest with the same --nats-url and --nats-prefix, and run doctor there",
        );
    }
    if heard.is_empty() && named.is_empty() {
        report.warning(
            CHECK,
            "no ingest announces a camera",
            "start a fanlight-ingest with the same --nats-url and --nats-prefix",
        );
    }
    let mut live = 0;
    for Heard { announcement, .. } in heard {
        if announcement.state == State::Live {
            live += 1;
            continue;
        }
        let cause = announcement.cause.as_deref().unwrap_or("no cause given");
        let (camera, state) = (&announcement.camera, announcement.state.as_str());
        report.warning(
            CHECK,
            format!("`{camera}` is {state}: {cause}"),
            "run fanlight-ingest doctor where its ingest runs",
        );
    }
    if live > 0 {
        report.ok(CHECK, format!("{live} announced and live"));
    }
}

/// Whether viewers that join get a picture at once: an ingest must be allowed to answer.
async fn replay(report: &mut Report, bus: &Bus, announcement: &Announcement) {
    const CHECK: &str = "instant start";
    let camera = &announcement.camera;
    if !announcement.replay {
        let remedy =
            "set a shorter key frame interval in the camera, or raise ingest's --gop-cache";
        return report.warning(
            CHECK,
            format!("`{camera}` sends more between two key pictures than --gop-cache holds"),
            remedy,
        );
    }
    let end = Instant::now() + GOP_LIMIT;
    let mut chunks = 0;
    if let Ok(mut reply) = bus.request_gop(&announcement.stream()).await {
        while let Ok(Some(event)) = timeout_at(end, reply.next()).await {
            match event {
                GopEvent::Chunk(_) => chunks += 1,
                GopEvent::End { .. } => {
                    return report.ok(CHECK, format!("`{camera}` replayed {chunks} messages"));
                }
                GopEvent::NoResponder | GopEvent::Bad(_) => break,
            }
        }
    }
    report.warning(
        CHECK,
        format!("the ingest of `{camera}` does not answer requests for the current pictures"),
        "let the NATS user of ingest publish `_INBOX.>`, or give it `allow_responses: {max: 4096, expires: \"10s\"}`",
    );
}
