#!/usr/bin/env bash
# Everything CI runs, in the order in which a failure is cheapest to find.
# `scripts/test.sh NAME…` runs only the named steps: rust doc player size lint
# python fanout browser faults.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# shellcheck source=scripts/steps.sh
source scripts/steps.sh
export PATH="$PWD/.venv/bin:$PATH"
# A failed test's own words are what is looked for, not the runtime's frames below them.
export RUST_BACKTRACE=0
only=("$@")
wanted() { [ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $1 "* ]]; }

rust() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --locked --no-tests=fail
    else
        # the same tests, slower and without nextest's time limit for each
        echo "cargo-nextest is not installed: using cargo test"
        cargo test --workspace --locked --lib --bins --tests
    fi
}
# Tests and programs in one go: tests turn on features of dependencies, and asking for the
# programs alone would build those dependencies a second time.
binaries() { cargo build --workspace --all-targets --locked; }
player() { (cd services/edge/web && npm test --silent); }
size() { (cd services/edge/web && npm run --silent size); }
# Both halves mostly wait, so they go side by side.
python() {
    local log status=0 pid
    log=$(mktemp)
    pytests tests/observability >"$log" 2>&1 &
    pid=$!
    pytests tests/docs tests/chart tests/deploy || status=$?
    wait "$pid" || status=$?
    cat "$log"
    rm -f "$log"
    return "$status"
}
pytests() { .venv/bin/python -m pytest -c tests/pytest.ini "$@"; }
# CPU time of a message beside the floor; the whole comparison is `make bench`.
fanout() { .venv/bin/python bench/run.py --short; }
# One of each fault against the real system; the table is in docs/reliability.md.
faults() { target/debug/fanlight-faults --short; }
# Lint takes one core and the Python tests mostly wait, so they go side by side.
lint_log=""
lint_early() {
    lint_log=$(mktemp)
    scripts/lint.sh </dev/null >"$lint_log" 2>&1 &
    lint_pid=$!
    trap 'kill "$lint_pid" 2>/dev/null; rm -f "$lint_log"' EXIT
}
lint() {
    [ -n "$lint_log" ] || { scripts/lint.sh; return; }
    local status=0
    wait "$lint_pid" || status=$?
    trap - EXIT
    cat "$lint_log"
    rm -f "$lint_log"
    return "$status"
}
browser() { (cd tests/browser && npm test --silent); }

if wanted player; then step "player unit tests" player; fi
if wanted size; then step "player size" size; fi
if wanted rust || wanted python || wanted fanout || wanted browser || wanted faults; then step "build" binaries; fi
if wanted rust; then step "rust tests" rust; fi
if wanted doc; then step "documentation examples" cargo test --workspace --locked --doc --quiet; fi
if wanted lint && wanted python; then lint_early; fi
if wanted python; then step "python tests" python; fi
if wanted lint; then step "lint" lint; fi
if wanted fanout; then step "fan-out" fanout; fi
if wanted browser; then step "browser tests" browser; fi
if wanted faults; then step "faults" faults; fi
steps_end test
