#!/bin/sh
# Installs what `make bench` compares with, where it is missing: rtpengine, as a program to be started by
# the measurement, not as a service. Without it the measurement leaves it out and says so.
set -eu

command -v rtpengine >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
	echo "rtpengine is missing here (Debian's package: rtpengine-daemon); it is left out." >&2
	exit 0
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
echo "installing: rtpengine-daemon"
export DEBIAN_FRONTEND=noninteractive
# A service of its own would take ports and time.
[ ! -d /run/systemd/system ] || $sudo systemctl mask rtpengine-daemon >/dev/null 2>&1 || true
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends rtpengine-daemon >/dev/null
