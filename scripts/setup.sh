#!/usr/bin/env bash
# Sets up what a make target needs and nothing more:
#   setup.sh run    ffmpeg, Node.js and the player bundle
#   setup.sh test   that, and everything the tests and linters use
#   setup.sh images that, and what builds the images here
# Safe to run again: what is there is skipped, and finished steps leave a stamp
# under .tools/ that holds the hash of their inputs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TOOLS=.tools
mkdir -p "$TOOLS"

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

hash_of() { # files and folders -> one hash of their names and contents
    find "$@" -name node_modules -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}
stamped() { [ "$(cat "$TOOLS/$1.stamp" 2>/dev/null)" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$TOOLS/$1.stamp"; }

# --- system packages ---------------------------------------------------------

wanted=()
want() { # want PACKAGE CHECK...: asks for PACKAGE unless CHECK succeeds
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || wanted+=("$package")
}

has_venv() { python3 -c 'import venv, ensurepip'; }
has_package() { dpkg-query -W -f '${Status}' "$1" | grep -q 'install ok installed'; }

want_run() {
    want ffmpeg have ffmpeg
    want nodejs have node
    want npm have npm
    # a linker, and a C compiler for the TLS library
    want gcc have cc
}

want_test() {
    local package
    want chromium test -x /usr/bin/chromium
    want haproxy have haproxy
    want nginx-light test -x /usr/sbin/nginx
    want prometheus have promtool
    want python3-venv has_venv
    want iproute2 have ip
    # service addresses of the chart's pods, which run in network namespaces
    want iptables test -x /usr/sbin/iptables
    # process 1 of the images that have ffmpeg
    want tini have tini
    # it reads our unit; it need not run
    want systemd have systemd-analyze
    want wget have wget
    want procps have ps
    # a certificate authority of the tests' own, and Chromium's trust in it
    want openssl have openssl
    want libnss3-tools have certutil
    # the RTSP camera runs on Debian's own python3, the one that has gi; the
    # font is for the screenshots of the Chinese page
    for package in gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
        gstreamer1.0-x gstreamer1.0-tools faketime fonts-wqy-microhei; do
        want "$package" has_package "$package"
    done
}

want_images() {
    want buildah have buildah
    want mmdebstrap have mmdebstrap
}

install_wanted() {
    local as_root=() policy=/usr/sbin/policy-rc.d
    [ ${#wanted[@]} -gt 0 ] || return 0
    have apt-get || fail "missing: ${wanted[*]} (Debian's package names). This machine has no apt-get: install them by hand, then run make again."
    if [ "$(id -u)" != 0 ]; then
        have sudo || fail "missing: ${wanted[*]}. Run as root: apt-get install ${wanted[*]}"
        as_root=(sudo)
        # never wait for a password nobody can type
        [ -t 0 ] || as_root=(sudo -n)
    fi
    say "installing with apt: ${wanted[*]}"
    # The tests start their own servers: keep the packages from starting theirs.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod +x "$policy"
        # shellcheck disable=SC2064
        trap "${as_root[*]} rm -f $policy" EXIT
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null ||
        fail "apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 "${wanted[@]}" </dev/null >"$TOOLS/apt.log" 2>&1 ||
        { tail -n 20 "$TOOLS/apt.log" >&2; fail "apt-get install ${wanted[*]} failed; all of its output is in $TOOLS/apt.log"; }
    if have systemctl; then
        for service in haproxy nginx prometheus; do
            case " ${wanted[*]} " in
            *" $service"*) "${as_root[@]}" systemctl disable --quiet "$service" 2>/dev/null || true ;;
            esac
        done
    fi
}

check_rtsp_camera() { # a missing GStreamer element shows only as a 503 later
    local element
    stamped gstreamer ok && return 0
    for element in x264enc x265enc rtph264pay rtph265pay h264parse h265parse timeoverlay mulawenc; do
        gst-inspect-1.0 "$element" >/dev/null || fail "GStreamer has no element $element"
    done
    /usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' ||
        fail "/usr/bin/python3 can't load GstRtspServer"
    stamp gstreamer ok
}

# --- packages of the project -------------------------------------------------

npm_packages() { # npm_packages FOLDER NAME
    local want_hash
    want_hash=$(hash_of "$1/package.json" "$1/package-lock.json")
    if ! stamped "$2" "$want_hash" || [ ! -d "$1/node_modules" ]; then
        say "npm ci in $1"
        (cd "$1" && npm ci --no-audit --no-fund --loglevel=error </dev/null) || fail "npm ci in $1 failed"
        stamp "$2" "$want_hash"
    fi
}

player_bundle() {
    local web=services/edge/web want_hash
    want_hash=$(find "$web" \( -name node_modules -o -name dist -o -name test \) -prune -o -type f -print0 |
        sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
    if ! stamped player "$want_hash" || [ ! -d "$web/dist" ]; then
        say "building the player"
        (cd "$web" && npm run --silent build </dev/null) || fail "the player's build failed"
        stamp player "$want_hash"
    fi
}

python_packages() { # python_packages VENV REQUIREMENTS NAME
    local want_hash
    want_hash=$(hash_of "$2")
    if ! stamped "$3" "$want_hash" || [ ! -x "$1/bin/python" ]; then
        say "python packages into $1"
        python3 -m venv "$1" || fail "python3 -m venv failed"
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            -r "$2" </dev/null || fail "pip install -r $2 failed"
        stamp "$3" "$want_hash"
    fi
}

have cargo || fail "cargo is missing: install Rust first (rustup), then run make again"
case ${1:-} in
run)
    want_run
    install_wanted
    npm_packages services/edge/web web-packages
    player_bundle
    ;;
test | images)
    want_run
    want_test
    [ "$1" = test ] || want_images
    install_wanted
    check_rtsp_camera
    npm_packages services/edge/web web-packages
    player_bundle
    npm_packages tests/browser browser-packages
    npm_packages tests/chart/npm chart-packages
    python_packages .venv tests/requirements.txt venv
    python_packages "$TOOLS/checkov" tests/chart/checkov.txt checkov
    ;;
*)
    fail "usage: setup.sh run|test|images"
    ;;
esac
