"""What ingest costs beside its ffmpeg: CPU time of both, and memory."""

import pathlib
import statistics
import subprocess
import time

from machine import ROOT, free_port

SECONDS = 20


def cpu(pid):
    """Seconds on a core, of all threads; /proc/PID/stat counts in 10 ms, and ingest takes 3 a second."""
    return sum(int((task / "schedstat").read_text().split()[0]) / 1e9
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def child(pid):
    """ffmpeg: the child of whichever thread started it."""
    children = [word for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                for word in (task / "children").read_text().split()]
    return int(children[0])


def rss_mb(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def run(*args):
    """CPU seconds of ingest and of its ffmpeg in the measured time, and ingest's memory in MB."""
    port = free_port()
    broker = subprocess.Popen([ROOT / ".venv/bin/nats-server", "-a", "127.0.0.1", "-p", str(port)],
                              stderr=subprocess.DEVNULL)
    ingest = subprocess.Popen(
        [ROOT / "target/release/fanlight-ingest", "--camera", "front", "--nats-url", f"nats://127.0.0.1:{port}",
         "--admin-listen", f"127.0.0.1:{free_port()}", "--log-level", "error", *args])
    try:
        time.sleep(6)
        ffmpeg = child(ingest.pid)
        before = cpu(ingest.pid), cpu(ffmpeg)
        time.sleep(SECONDS)
        used = cpu(ingest.pid) - before[0], cpu(ffmpeg) - before[1]
        return *used, rss_mb(ingest.pid)
    finally:
        for process in (ingest, broker):
            process.terminate()
            process.wait()


def measure(folder, rounds):
    """Rows of a table."""
    default = [run("--input", "test") for _ in range(rounds)]
    source = pathlib.Path(folder) / "8mbit.ts"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30,noise=alls=40:allf=t", "-t", "12",
         "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-bf", "0", "-g", "60", "-b:v", "8M",
         "-minrate", "8M", "-maxrate", "8M", "-bufsize", "4M", "-y", source], check=True)
    copy = [run("--input", str(source), "--codec", "copy") for _ in range(rounds)]
    share = statistics.median(own / ffmpeg for own, ffmpeg, _ in default)
    core = statistics.median(own / SECONDS for own, _, _ in copy)
    mbit = source.stat().st_size * 8 / 12e6
    return [
        f"| ingest, 640x480 at 15 fps encoded | {share:.1%} of ffmpeg's CPU time, "
        f"{statistics.median(m for _, _, m in default):.1f} MB resident |",
        f"| ingest, `copy` of {mbit:.1f} Mbit/s | {core:.1%} of a core, "
        f"{statistics.median(m for _, _, m in copy):.1f} MB resident, two GOPs of {mbit / 2:.1f} MB in all |",
    ]
