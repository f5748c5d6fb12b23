//! A network link that can be cut: a TCP proxy that, while it is cut, hands nothing on in either
//! direction and tells nobody, as a pulled cable does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A link to one address.
pub(crate) struct Link {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// A link to `target`, whole.
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = watch::Sender::new(false);
        let state = cut.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, target) = (state.clone(), target.clone());
                tokio::spawn(async move {
                    whole(&mut state.clone()).await;
                    let Ok(server) = TcpStream::connect(&target).await else {
                        return;
                    };
                    let (client, server) = (client.into_split(), server.into_split());
                    let there = pipe(client.0, server.1, state.clone());
                    let back = pipe(server.0, client.1, state);
                    tokio::join!(there, back);
                });
            }
        });
        Self { address, cut, task }
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the link, or mends it.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

async fn whole(state: &mut watch::Receiver<bool>) {
    let _gone = state.wait_for(|cut| !cut).await;
}

async fn pipe(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        whole(&mut state).await;
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}
