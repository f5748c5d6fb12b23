//! Synthetic cameras on a bus, as ingest would publish them: announced, with replay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fanlight_bus::{Announcement, Bus, Chunk, RunId, RunIds, State, StreamId, Video};
use tokio::time::{Instant, sleep_until};

use crate::clock::now;
use crate::stream::{Stamp, Template};

/// How many there are and what they send.
#[derive(Debug, Clone, clap::Args)]
pub struct Cameras {
    #[arg(long, default_value_t = 1)]
    cameras: u32,
    /// TS packets of a message
    #[arg(long, default_value_t = 36)]
    packets: usize,
    #[arg(long, default_value_t = 15.0)]
    fps: f64,
}

struct Camera {
    stream: StreamId,
    announcement: Announcement,
    gop: Arc<Mutex<VecDeque<Chunk>>>,
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

impl Cameras {
    /// Publishes for ever, the cameras' messages evenly spread over the time of a picture. What the
    /// first camera sends goes to `feed` too.
    ///
    /// # Errors
    /// The bus is closed.
    pub async fn run(self, bus: Option<Bus>, feed: impl Fn(&Bytes)) -> anyhow::Result<()> {
        let template = Template::new(self.packets);
        let mut runs = RunIds::new();
        let run = runs.next_run();
        let mut cameras = Vec::new();
        for number in 0..self.cameras {
            let camera = self.camera(number, &run, runs.instance())?;
            if let Some(bus) = &bus {
                answer(bus, &camera).await?;
            }
            cameras.push(camera);
        }
        let started = Instant::now();
        let period = 1.0 / self.fps / f64::from(self.cameras);
        for tick in 0_u64.. {
            sleep_until(started + Duration::from_secs_f64(period * tick as f64)).await;
            let number = tick % u64::from(self.cameras);
            let seq = tick / u64::from(self.cameras);
            let stamp = Stamp {
                camera: u32::try_from(number)?,
                seq,
                sent: now(),
            };
            let payload = Bytes::from(template.stamped(stamp));
            if number == 0 {
                feed(&payload);
            }
            if let Some(bus) = &bus {
                let camera = &mut cameras[usize::try_from(number)?];
                self.publish(bus, camera, &run, stamp, payload).await;
            }
        }
        Ok(())
    }

    fn camera(&self, number: u32, run: &RunId, instance: &str) -> anyhow::Result<Camera> {
        let stream = StreamId::main(format!("cam-{number}").parse()?);
        Ok(Camera {
            announcement: Announcement {
                camera: stream.camera.clone(),
                rendition: stream.rendition.clone(),
                state: State::Live,
                cause: None,
                cause_kind: None,
                codec: Some("avc1.42C01E".to_owned()),
                width: Some(640),
                height: Some(480),
                fps: Some(self.fps),
                gop_seconds: Some(2.0),
                replay: true,
                run: Some(run.to_string()),
                since: unix_ns() / 1_000_000,
                ttl: Announcement::TTL_SECONDS,
                instance: instance.to_owned(),
                time: 0,
            },
            stream,
            gop: Arc::default(),
        })
    }

    async fn publish(
        &self,
        bus: &Bus,
        camera: &mut Camera,
        run: &RunId,
        stamp: Stamp,
        payload: Bytes,
    ) {
        let (key, seq) = (stamp.is_key(), stamp.seq);
        let chunk = Chunk {
            run: run.clone(),
            seq,
            time: unix_ns(),
            key,
            part: None,
            codec: key.then(|| "avc1.42C01E".into()),
            video: key.then_some(Video {
                width: 640,
                height: 480,
                fps: Some(self.fps),
            }),
            traceparent: None,
            payload,
        };
        if let Err(error) = bus.publish(&camera.stream, &chunk).await {
            eprintln!("publish: {error}");
        }
        if seq.is_multiple_of(2 * self.fps as u64) {
            camera.announcement.time = unix_ns();
            if let Err(error) = bus.announce(&camera.announcement).await {
                eprintln!("announce: {error}");
            }
        }
        let mut gop = camera.gop.lock().unwrap_or_else(PoisonError::into_inner);
        if key {
            gop.clear();
        }
        gop.push_back(chunk);
    }
}

/// Answers GOP requests for a camera.
async fn answer(bus: &Bus, camera: &Camera) -> anyhow::Result<()> {
    let mut requests = bus.serve_gop(&camera.stream).await?;
    let gop = Arc::clone(&camera.gop);
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let gop = gop.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for chunk in &gop {
                if request.send(chunk).await.is_err() {
                    return;
                }
            }
            let last = gop.back();
            if request
                .end(last.map(|c| &c.run), last.map(|c| c.seq))
                .await
                .is_err()
            {
                return;
            }
        }
    });
    Ok(())
}
