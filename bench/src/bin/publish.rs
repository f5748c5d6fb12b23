//! `bench-publish`: synthetic cameras onto NATS as ingest would publish them, or one of them to
//! whoever connects to a TCP feed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Parser;
use fanlight_bench::clock::now;
use fanlight_bench::feed;
use fanlight_bench::stream::{Stamp, Template};
use fanlight_bus::{
    Announcement, Bus, Chunk, Credentials, NatsConfig, RunIds, State, StreamId, Subjects, Tls,
    Video,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

#[derive(Parser)]
struct Args {
    /// Publish on this NATS server
    #[arg(long)]
    nats_url: Option<String>,
    /// Feed whoever connects here
    #[arg(long)]
    feed: Option<String>,
    #[arg(long, default_value_t = 1)]
    cameras: u32,
    /// TS packets of a message
    #[arg(long, default_value_t = 36)]
    packets: usize,
    #[arg(long, default_value_t = 15.0)]
    fps: f64,
}

type Readers = Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>;

/// One synthetic camera.
struct Camera {
    stream: StreamId,
    announcement: Announcement,
    gop: Arc<Mutex<VecDeque<Chunk>>>,
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let template = Template::new(args.packets);
    let bus = match &args.nats_url {
        Some(url) => Some(
            Bus::nats(NatsConfig {
                urls: vec![url.clone()],
                subjects: Subjects::default(),
                credentials: Credentials::None,
                tls: Tls::default(),
                name: "bench".to_owned(),
            })
            .await?,
        ),
        None => None,
    };
    let readers = Readers::default();
    if let Some(address) = &args.feed {
        let listener = TcpListener::bind(address).await?;
        let readers = Arc::clone(&readers);
        tokio::spawn(accept(listener, readers));
    }
    if let Some(bus) = &bus {
        bus.connection()
            .wait_for(fanlight_bus::Connection::is_connected)
            .await?;
    }
    let mut runs = RunIds::new();
    let run = runs.next_run();
    let mut cameras = Vec::new();
    for number in 0..args.cameras {
        let stream = StreamId::main(format!("cam-{number}").parse()?);
        let camera = Camera {
            announcement: Announcement {
                camera: stream.camera.clone(),
                rendition: stream.rendition.clone(),
                state: State::Live,
                cause: None,
                cause_kind: None,
                codec: Some("avc1.42C01E".to_owned()),
                width: Some(640),
                height: Some(480),
                fps: Some(args.fps),
                gop_seconds: Some(2.0),
                replay: true,
                run: Some(run.to_string()),
                since: unix_ns() / 1_000_000,
                ttl: Announcement::TTL_SECONDS,
                instance: runs.instance().to_owned(),
                time: 0,
            },
            stream,
            gop: Arc::default(),
        };
        if let Some(bus) = &bus {
            answer(bus, &camera).await?;
        }
        cameras.push(camera);
    }
    let started = Instant::now();
    let period = 1.0 / args.fps / f64::from(args.cameras);
    for tick in 0_u64.. {
        sleep_until(started + Duration::from_secs_f64(period * tick as f64)).await;
        let number = tick % u64::from(args.cameras);
        let seq = tick / u64::from(args.cameras);
        let camera = &mut cameras[usize::try_from(number)?];
        let stamp = Stamp {
            camera: u32::try_from(number)?,
            seq,
            sent: now(),
        };
        let payload = Bytes::from(template.stamped(stamp));
        if number == 0 {
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.retain(|reader| reader.try_send(payload.clone()).is_ok());
        }
        let Some(bus) = &bus else { continue };
        let key = stamp.is_key();
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
                fps: Some(args.fps),
            }),
            traceparent: None,
            payload,
        };
        if let Err(error) = bus.publish(&camera.stream, &chunk).await {
            eprintln!("publish: {error}");
        }
        if seq.is_multiple_of(2 * args.fps as u64) {
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
    Ok(())
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

async fn accept(listener: TcpListener, readers: Readers) {
    while let Ok((stream, _)) = listener.accept().await {
        let (sender, messages) = mpsc::channel(64);
        readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        tokio::spawn(serve(stream, messages));
    }
}

async fn serve(mut stream: TcpStream, mut messages: mpsc::Receiver<Bytes>) {
    let _slower = stream.set_nodelay(true);
    while let Some(message) = messages.recv().await {
        if feed::write(&mut stream, &message).await.is_err() {
            return;
        }
    }
}
