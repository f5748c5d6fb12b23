#!/usr/bin/env bash
# Fan-out beside its floor and its peers; then delay and join of each decode path with the tight
# budgets, in a quiet machine's real browser. Prints the figures and puts them into
# docs/benchmarks.md. ROUNDS (5) is how often each server has its turn.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
cargo build --workspace --release --bins --locked
(cd bench/peers/node && npm ci --no-audit --no-fund --loglevel=error)
.venv/bin/python bench/run.py --rounds "${ROUNDS:-5}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
(cd tests/browser && FANLIGHT_PROFILE=release FANLIGHT_SLACK=1 FANLIGHT_SECONDS=20 node run.mjs latency join) | tee "$log" || status=$?
{
    sed '/<!-- written by make bench -->/,$d' docs/benchmarks.md
    printf '<!-- written by make bench -->\n\n%s, %s cores, make bench:\n\n~~~\n' "$(date -I)" "$(nproc)"
    grep -E '^ *(✔|✖|ℹ) .*(fps|join|picture|RTSP)' "$log" || true
    printf '~~~\n'
} >docs/benchmarks.md.new
mv docs/benchmarks.md.new docs/benchmarks.md
exit "$status"
