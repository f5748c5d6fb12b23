//! `bench-axum`: the relay that axum's documentation leads to, with its buffers as they are or
//! small ones.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use clap::Parser;
use fanlight_bench::feed::Feed;
use tokio::sync::broadcast;

#[derive(Clone, Parser)]
struct Args {
    #[arg(long)]
    listen: String,
    #[arg(long)]
    feed: String,
    /// Buffers of 4 KiB
    #[arg(long)]
    small: bool,
}

#[derive(Clone)]
struct Site {
    messages: broadcast::Sender<Bytes>,
    small: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut feed = Feed::connect(&args.feed).await?;
    let (messages, _) = broadcast::channel(64);
    let site = Site {
        messages: messages.clone(),
        small: args.small,
    };
    let router = Router::new().fallback(get(watch)).with_state(site);
    let listener = tokio::net::TcpListener::bind(&args.listen).await?;
    tokio::spawn(async move {
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| {
            let _slower = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await
    });
    while let Some(message) = feed.next().await? {
        let _nobody_watches = messages.send(message);
    }
    Ok(())
}

async fn watch(State(site): State<Site>, mut upgrade: WebSocketUpgrade) -> Response {
    if site.small {
        upgrade = upgrade.read_buffer_size(4096).write_buffer_size(0);
    }
    upgrade.on_upgrade(move |socket| serve(socket, site.messages.subscribe()))
}

async fn serve(mut socket: WebSocket, mut messages: broadcast::Receiver<Bytes>) {
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Ok(message) = message else { return };
                if socket.send(Message::Binary(message)).await.is_err() {
                    return;
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}
