//! `bench-inprocess`: the edge behind the in-process bus, as in `fanlight`, with synthetic cameras
//! in the place of ffmpeg.

use clap::Parser;
use fanlight_bench::cameras::Cameras;
use fanlight_bus::Bus;
use fanlight_edge::config::{Defaults, GopCacheArgs};
use fanlight_edge::{Edge, EdgeArgs};
use fanlight_ops::health::Health;
use fanlight_ops::metrics::Metrics;
use fanlight_ops::shutdown::Shutdown;

#[derive(Parser)]
struct Args {
    /// Address of the viewers' listener
    #[arg(long)]
    listen: String,
    #[command(flatten)]
    cameras: Cameras,
}

/// The edge's own options; their `--cameras` is another one.
#[derive(Parser)]
struct EdgeCli {
    #[command(flatten)]
    edge: EdgeArgs,
    #[command(flatten)]
    cache: GopCacheArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let options = [
        "edge",
        "--listen",
        &args.listen,
        "--max-attempts-per-address",
        "0",
    ];
    let cli = EdgeCli::parse_from(options);
    let config = cli
        .edge
        .resolve(&Defaults::edge(), &cli.cache.gop_cache)
        .map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let bus = Bus::memory();
    let edge = Edge::build(config, bus.clone(), Metrics::new("edge"), Health::new())?;
    tokio::spawn(args.cameras.run(Some(bus), |_| {}));
    edge.run(Shutdown::on_signals()?).await?;
    Ok(())
}
