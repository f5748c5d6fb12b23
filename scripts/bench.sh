#!/usr/bin/env bash
# Delay and join of each decode path with the tight budgets, in a quiet machine's real browser.
# Prints the figures and puts them into docs/benchmarks.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
cargo build --workspace --bins --locked
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
(cd tests/browser && FANLIGHT_SLACK=1 node run.mjs latency join) | tee "$log" || status=$?
{
    sed '/<!-- written by make bench -->/,$d' docs/benchmarks.md
    printf '<!-- written by make bench -->\n\n%s, %s cores, make bench:\n\n~~~\n' "$(date -I)" "$(nproc)"
    grep -E '^ *(✔|✖|ℹ) .*(fps|join|picture|RTSP)' "$log" || true
    printf '~~~\n'
} >docs/benchmarks.md.new
mv docs/benchmarks.md.new docs/benchmarks.md
exit "$status"
