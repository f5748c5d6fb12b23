//! From pictures to messages: numbers them, splits what is too large for one message, keeps
//! the current GOP and hands everything to the outbox. One for each run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanlight_bus::{Bus, Chunk, Connection, Part, RunId, StreamId, TS_PACKET, Video};
use fanlight_mpegts::{RawChunk, Timestamp, VideoFormat};
use fanlight_ops::throttle::Throttle;
use fanlight_ops::trace;
use tokio::sync::watch;

use crate::gop::GopCache;
use crate::metrics::CameraMetrics;
use crate::outbox::{DropReason, Outbox};
use crate::status::Status;

/// Payload of a message before the broker has said what it takes; also the most that is ever
/// used.
const MAX_MESSAGE: usize = 512 * 1024 / TS_PACKET * TS_PACKET;

/// What all parts of one camera share.
#[derive(Debug)]
pub struct Shared {
    /// Its name.
    pub stream: StreamId,
    /// Where it is published.
    pub bus: Bus,
    /// What waits for the broker.
    pub outbox: Outbox,
    /// What it counts.
    pub metrics: CameraMetrics,
    /// What is told about it.
    pub status: watch::Sender<Status>,
    gop: Mutex<GopCache>,
    drops: Throttle<&'static str>,
}

impl Shared {
    /// Nothing published yet.
    #[must_use]
    pub fn new(
        stream: StreamId,
        bus: Bus,
        metrics: CameraMetrics,
        outbox: usize,
        gop_cache: usize,
    ) -> Self {
        Self {
            stream,
            bus,
            outbox: Outbox::new(outbox),
            metrics,
            status: watch::Sender::new(Status::idle()),
            gop: Mutex::new(GopCache::new(gop_cache)),
            drops: Throttle::new(Duration::from_secs(10)),
        }
    }

    /// The current GOP.
    pub fn gop(&self) -> MutexGuard<'_, GopCache> {
        self.gop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts and, at most every 10 s, logs what is not sent.
    pub fn dropped(&self, reason: DropReason, n: usize) {
        self.metrics.dropped(reason, n);
        if let Some(more) = self.drops.allow(reason.label()) {
            let (stream, reason) = (&self.stream, reason.label());
            tracing::warn!(camera = %stream.camera, rendition = stream.variant(), reason, messages = n, more, "messages dropped");
        }
    }
}

/// Makes the messages of one run.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    connection: watch::Receiver<Connection>,
    run: RunId,
    seq: u64,
    gop: GopClock,
    /// The encoder's rate, where the stream does not say it.
    fallback_fps: Option<f64>,
}

impl Feed {
    /// Numbers start at 0.
    #[must_use]
    pub fn new(shared: Arc<Shared>, run: RunId, fallback_fps: Option<f64>) -> Self {
        let connection = shared.bus.connection();
        Self {
            shared,
            connection,
            run,
            seq: 0,
            gop: GopClock::default(),
            fallback_fps,
        }
    }

    /// Publishes one picture. `time` is when its bytes were read, in unix nanoseconds.
    pub fn publish(&mut self, raw: RawChunk, time: u64) {
        if raw.starts_unit() {
            self.gop.picture(raw.pts, raw.key);
        }
        let span = trace::enabled().then(|| {
            tracing::debug_span!(parent: None, "picture", camera = %self.shared.stream.camera, rendition = self.shared.stream.variant(), key = raw.key)
        });
        if raw.key {
            self.describe(raw.format.as_ref());
        }
        let limit = self.max_payload();
        let count = raw.payload.len().div_ceil(limit).max(1);
        let mut rest = raw.payload;
        for index in 1..=count {
            let payload = rest.split_to(rest.len().min(limit));
            let key = raw.key && index == 1;
            let format = raw.format.as_ref().filter(|_| key);
            let chunk = Chunk {
                run: self.run.clone(),
                seq: self.seq,
                time,
                key,
                part: (count > 1).then_some(Part {
                    index: index as u32,
                    count: count as u32,
                }),
                codec: format.map(|f| f.codec.clone()),
                video: format.map(|f| Video {
                    width: f.width,
                    height: f.height,
                    fps: f.fps.or(self.fallback_fps),
                }),
                traceparent: span.as_ref().and_then(|picture| {
                    let chunk = tracing::debug_span!(parent: picture, "chunk", seq = self.seq);
                    trace::inject(&chunk).map(Into::into)
                }),
                payload,
            };
            self.seq += 1;
            self.send(chunk);
        }
        self.shared.metrics.last_chunk.set(time as f64 / 1e9);
    }

    fn send(&self, chunk: Chunk) {
        let mut gop = self.shared.gop();
        let was_outgrown = gop.is_outgrown();
        gop.push(&chunk);
        let outgrown = gop.is_outgrown();
        drop(gop);
        if outgrown != was_outgrown {
            let stream = &self.shared.stream;
            if outgrown {
                tracing::warn!(camera = %stream.camera, rendition = stream.variant(), "the GOP is larger than --gop-cache: who joins waits for the next key picture");
            }
            self.shared
                .status
                .send_modify(|status| status.replay = !outgrown);
        }
        if let Some((reason, n)) = self.shared.outbox.offer(chunk) {
            self.shared.dropped(reason, n);
        }
    }

    /// Tells what the stream is, where it changed.
    fn describe(&self, format: Option<&VideoFormat>) {
        let gop_seconds = self.gop.seconds;
        let told = format.and_then(|f| f.fps);
        let fps = told.or(self.fallback_fps).or(self.gop.fps);
        self.shared.status.send_if_modified(|status| {
            let new = (
                format.or(status.format.as_ref()),
                fps.or(status.fps),
                gop_seconds.or(status.gop_seconds),
            );
            if new == (status.format.as_ref(), status.fps, status.gop_seconds) {
                return false;
            }
            let new = (new.0.cloned(), new.1, new.2);
            if new.0 != status.format {
                self.shared
                    .metrics
                    .set_info(status.format.as_ref(), new.0.as_ref());
            }
            (status.format, status.fps, status.gop_seconds) = new;
            true
        });
    }

    fn max_payload(&self) -> usize {
        // Before the first connection the client knows no limit and answers one packet.
        if self.connection.borrow().ever_connected {
            self.shared.bus.max_payload().clamp(TS_PACKET, MAX_MESSAGE)
        } else {
            MAX_MESSAGE
        }
    }
}

/// Measures GOPs by the stream's own time stamps. Rounded, so that a steady camera is not
/// announced anew at each key picture.
#[derive(Debug, Default)]
struct GopClock {
    key: Option<Timestamp>,
    pictures: u32,
    seconds: Option<f64>,
    fps: Option<f64>,
}

impl GopClock {
    fn picture(&mut self, pts: Option<Timestamp>, key: bool) {
        if !key {
            self.pictures += 1;
            return;
        }
        let ticks = self.key.zip(pts).map(|(last, now)| now.since(last));
        if let Some(ticks) = ticks.filter(|t| *t > 0) {
            let seconds = ticks as f64 / Timestamp::HZ as f64;
            self.seconds = Some((seconds * 10.0).round() / 10.0);
            self.fps = Some((f64::from(self.pictures) / seconds).round()).filter(|f| *f >= 1.0);
        }
        self.key = pts;
        self.pictures = 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanlight_ops::metrics::Metrics;

    use super::*;

    fn shared() -> Arc<Shared> {
        let stream = StreamId::main("gate".parse().unwrap());
        let metrics = CameraMetrics::new(&Metrics::new("ingest"), &stream);
        Arc::new(Shared::new(
            stream,
            Bus::memory(),
            metrics,
            64 << 20,
            8 << 20,
        ))
    }

    fn raw(packets: usize, key: bool, pts: u64) -> RawChunk {
        RawChunk {
            payload: Bytes::from(vec![0x47; packets * TS_PACKET]),
            key,
            format: key.then(|| VideoFormat {
                codec: "avc1.42C01E".into(),
                width: 640,
                height: 480,
                fps: None,
            }),
            picture: Some(if key {
                fanlight_mpegts::PictureType::Key
            } else {
                fanlight_mpegts::PictureType::Inter
            }),
            pts: Some(Timestamp::new(pts)),
            dts: None,
            complete: true,
            damaged: false,
        }
    }

    fn feed(shared: &Arc<Shared>) -> Feed {
        let run = "1700000000000-a-1".parse().unwrap();
        Feed::new(shared.clone(), run, Some(15.0))
    }

    #[tokio::test]
    async fn a_large_picture_is_split_and_every_part_has_a_number() {
        let shared = shared();
        let mut feed = feed(&shared);
        feed.publish(raw(1, false, 0), 5);
        feed.publish(raw(MAX_MESSAGE / TS_PACKET * 2 + 3, true, 1), 6);
        let all: Vec<_> = [
            shared.outbox.next().await,
            shared.outbox.next().await,
            shared.outbox.next().await,
            shared.outbox.next().await,
        ]
        .into();
        assert_eq!(all.iter().map(|c| c.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(
            all.iter().map(|c| c.key).collect::<Vec<_>>(),
            [false, true, false, false]
        );
        let parts: Vec<_> = all.iter().map(|c| c.part.map(|p| p.to_string())).collect();
        assert_eq!(
            parts,
            [
                None,
                Some("1/3".into()),
                Some("2/3".into()),
                Some("3/3".into())
            ]
        );
        assert_eq!(all[3].payload.len(), 3 * TS_PACKET);
        assert!(
            all.iter()
                .all(|c| c.payload.len() <= MAX_MESSAGE && c.time <= 6)
        );
        assert_eq!(all[1].video.unwrap().to_string(), "640x480@15");
        assert!(all[2].codec.is_none() && all[1].codec.is_some());
        assert_eq!(shared.gop().replay(), all[1..], "the GOP is what was sent");
    }

    #[test]
    fn the_gop_is_measured_by_time_stamps() {
        let shared = shared();
        let mut feed = Feed::new(shared.clone(), "1700000000000-a-1".parse().unwrap(), None);
        for picture in 0..61 {
            feed.publish(raw(2, picture % 30 == 0, picture * 6000), 1);
        }
        let status = shared.status.borrow();
        assert_eq!((status.gop_seconds, status.fps), (Some(2.0), Some(15.0)));
    }

    #[test]
    fn an_outgrown_gop_is_announced_and_the_next_one_too() {
        let shared = shared();
        let mut feed = feed(&shared);
        feed.publish(raw(1, true, 0), 1);
        assert!(shared.status.borrow().replay);
        for _ in 0..17 {
            feed.publish(raw(512 * 1024 / TS_PACKET, false, 0), 1);
        }
        assert!(!shared.status.borrow().replay && shared.gop().replay().is_empty());
        feed.publish(raw(1, true, 0), 1);
        assert!(shared.status.borrow().replay);
    }
}
