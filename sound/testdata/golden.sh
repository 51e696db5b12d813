#!/bin/sh
# Makes the files of this directory and the hashes in g722_test.go anew, from Debian's espeak-ng,
# ffmpeg and python3. Made with espeak-ng 1.51 and ffmpeg 5.1.9.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -r "$tmp"' EXIT
raw="-f s16le -ar 16000 -ac 1"

# 2.4 s of speech, 16 kHz, 16 bits, little endian; and what ffmpeg's encoder makes of it.
espeak-ng -v en -s 165 -w "$tmp/speech.wav" "Please hold the line, your call will be answered by the next free agent."
ffmpeg -v error -y -i "$tmp/speech.wav" -af volume=0.7 -t 2.4 $raw speech.s16
ffmpeg -v error -y $raw -i speech.s16 -f g722 speech.g722
ffmpeg -v error -i speech.g722 -f s16le - | sha256sum

# 64,000 random codes: every branch of the decoder, saturation too.
lcg='
import struct, sys
x, out = 1, bytearray()
for _ in range(64000):
    x = (x * 1103515245 + 12345) & 0xffffffff
    out += KIND
sys.stdout.buffer.write(out)'
echo "$lcg" | sed 's/KIND/bytes([x >> 24])/' | python3 - >"$tmp/codes.g722"
ffmpeg -v error -i "$tmp/codes.g722" -f s16le - | sha256sum

# Full-scale white noise into the encoder.
echo "$lcg" | sed 's/KIND/struct.pack("<H", x >> 16)/' | python3 - >"$tmp/noise.s16"
ffmpeg -v error $raw -i "$tmp/noise.s16" -f g722 - | sha256sum
