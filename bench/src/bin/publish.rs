//! `bench-publish`: synthetic cameras onto NATS as ingest would publish them, or one of them to
//! whoever connects to a TCP feed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::Parser;
use fanlight_bench::cameras::Cameras;
use fanlight_bench::feed;
use fanlight_bus::{Bus, Credentials, NatsConfig, Subjects, Tls};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

#[derive(Parser)]
struct Args {
    /// Publish on this NATS server
    #[arg(long)]
    nats_url: Option<String>,
    /// Feed whoever connects here
    #[arg(long)]
    feed: Option<String>,
    #[command(flatten)]
    cameras: Cameras,
}

type Readers = Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
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
    let feed = |message: &Bytes| {
        let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.try_send(message.clone()).is_ok());
    };
    args.cameras.run(bus, feed).await
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
