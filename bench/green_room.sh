#!/bin/sh
# The person of the sample before a green room, cut out and put on gray, with and without the
# foreground clean-up: figures and pictures (4 times enlarged), once with the exact matte and once
# with mattebox's own.
#
# Usage: bench/green_room.sh [OUT]   (default: output/green_room). Needs ffmpeg and cargo.
set -eu
cd "$(dirname "$0")/.."
out=${1:-output/green_room}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/person" "$work/alpha" "$out"
cargo build --release --quiet --workspace --bin mattebox --example green_room

ffmpeg -v error -i samples/person.mp4 -pix_fmt rgb24 "$work/person/%03d.png"
ffmpeg -v error -i samples/person_alpha.mkv -pix_fmt gray "$work/alpha/%03d.png"
layers='[1][2]alphamerge,format=gbrap[person];[0]format=gbrp[room];'
layers+='[room][person]overlay=format=gbrp:shortest=1'
ffmpeg -v error -f lavfi -i color=0x00B140:size=640x360:rate=25 -i samples/person.mp4 \
    -i samples/person_alpha.mkv -filter_complex "$layers" -c:v ffv1 "$work/filmed.mkv"
target/release/mattebox run "$work/filmed.mkv" --out "$work/out" --alpha-out "$work/matte" \
    >/dev/null 2>&1

for matte in alpha matte; do
    folder=$(dirname "$(find "$work/$matte" -name '*.png' | head -n 1)")
    echo "$matte:"
    target/release/examples/green_room "$work/person" "$work/alpha" "$folder" "$out/$matte"
done
