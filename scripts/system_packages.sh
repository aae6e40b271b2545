#!/usr/bin/env bash
# Installs the Debian packages that some tests need; nothing else of the project does.
set -euo pipefail

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    cat <<'TEXT'
usage: scripts/system_packages.sh

Install, on Debian or Ubuntu and as root, the servers and programs that some tests use; does nothing if
all are installed. Without them these tests are skipped, or fail with ROADSEG_REQUIRE_SYSTEM=1.
TEXT
    exit 0
fi

packages=(
    # GStreamer's RTSP server with Python, and its H.264 plugins
    python3-gi
    gir1.2-gst-rtsp-server-1.0
    gir1.2-gst-plugins-base-1.0
    gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad
    # The compiler of pycuda, and of the overlay kernel as the processor computes it
    g++
    # The browser for the page, and a virtual screen for windows
    chromium
    xvfb
)

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

is_installed() { [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == "install ok installed" ]]; }

command -v apt-get >/dev/null ||
    fail "this system has no apt-get; install the equivalents of these Debian packages: ${packages[*]}"

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if [[ ${#missing[@]} -eq 0 ]]; then exit 0; fi

[[ $(id -u) -eq 0 ]] || fail "only root can install ${missing[*]}; run: sudo $0"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || fail "apt-get update failed; check the network and /etc/apt/sources.list"
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    fail "apt-get could not install ${missing[*]}; its last lines are above"
