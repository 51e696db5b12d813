#!/bin/sh
# Installs what the tests need and a bare Debian with Go lacks. Elsewhere it names
# what is missing.
set -eu

# command=package
needs="
gcc=gcc
ip=iproute2
sipp=sip-tester
baresip=baresip-core
linphonec=linphone-cli
openssl=openssl
kamailio=kamailio
sngrep=sngrep
svwar=sipvicious
redis-server=redis-server
prometheus=prometheus
promtool=prometheus
"

missing=""
for n in $needs; do
	command -v "${n%%=*}" >/dev/null 2>&1 || missing="$missing ${n#*=}"
done
# Kamailio's TLS is a package of its own.
set -- /usr/lib/*/kamailio/modules/tls.so
[ -e "$1" ] || missing="$missing kamailio-tls-modules"
# -race needs the C library's headers, too.
[ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev"
[ -n "$missing" ] || exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

if ! command -v apt-get >/dev/null 2>&1; then
	echo "The tests need these commands: sipp, kamailio with its TLS module, sngrep, svwar, baresip, linphonec, openssl, redis-server, prometheus, promtool, gcc, ip." >&2
	echo "Missing here (Debian's package names): $missing" >&2
	exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
echo "installing: $missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
