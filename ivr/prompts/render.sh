#!/bin/sh
# Renders the prompts of prompts.tsv (name<TAB>zh<TAB>en) into NAME.LANG.wav beside it:
# G.711 A-law, 8 kHz, mono, levelled to -6 dB, without silence at the ends.
# Needs espeak-ng and sox. Run it after every change of prompts.tsv and commit what it made.
set -eu
cd "$(dirname "$0")"

for tool in espeak-ng sox; do
	command -v "$tool" >/dev/null || { echo "render.sh: $tool is missing: apt-get install espeak-ng sox" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# render TEXT VOICE SPEED FILE
render() {
	printf '%s\n' "$1" | espeak-ng -v "$2" -s "$3" --stdin -w "$work/speech.wav"
	sox "$work/speech.wav" -R -r 8000 -c 1 -e a-law "$4" \
		gain -6 silence 1 0.01 0.5% reverse silence 1 0.01 0.5% reverse pad 0.02 0.06 rate 8000 gain -n -6
}

rm -f ./*.wav
while IFS="$(printf '\t')" read -r name zh en; do
	render "$zh" cmn 210 "$name.zh.wav"
	render "$en" en 160 "$name.en.wav"
done <prompts.tsv
du -cb ./*.wav | tail -n 1
