#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# Live captions of a talk: starts symbl-service, plays the talk through symblsink in
# real time and prints the results. "make demo" builds everything and calls this.
#
#   scripts/demo.sh [FILE]     FILE: anything that GStreamer's decodebin reads;
#                              without it, the recorded prompts of
#                              examples/talk/prompts.tsv, joined into one talk; PROMPTS in
#                              the environment names another such list
#
# With VIDEO=1 in the environment, symbltranscriber burns the captions into a picture, live:
# that of FILE, or a test picture. The result is captions.mp4 and one frame of it,
# captions.png, in the current folder.
#
# The service has a page with the conversation as long as the demo runs; its address is
# printed first. With WEB=1 in the environment, the page stays open until Ctrl-C.
#
# At its end, also by Ctrl-C, the script stops every process that it started and
# removes every file that it wrote. Its exit status is that of the live view.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}/release
prompts=${PROMPTS:-examples/talk/prompts.tsv}
pause_ms=1000
trackers='[
  {"name": "Pound key", "vocabulary": ["pound key", "hash key"]},
  {"name": "Conference", "vocabulary": ["conference"]},
  {"name": "Call handling", "vocabulary": ["accept this call", "reject it"]}
]'

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

dir=$(mktemp -d)
service_pid=
view_pid=
clean_up() {
    trap - EXIT
    if [ -n "$view_pid" ]; then
        kill -- "-$view_pid" 2>/dev/null || true
    fi
    if [ -n "$service_pid" ]; then
        kill "$service_pid" 2>/dev/null || true
        # Gives the service 10 seconds to stop.
        timeout 10 tail --pid="$service_pid" --sleep-interval=0.1 -f /dev/null ||
            kill -KILL "$service_pid" 2>/dev/null || true
        wait "$service_pid" 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Writes $dir/talk.wav (16 kHz mono) and $dir/talk.txt, one line per prompt.
make_talk() {
    local path text
    local pause_bytes=$((16000 * 2 * pause_ms / 1000))
    head -c "$pause_bytes" /dev/zero >"$dir/talk.raw"
    while IFS=$'\t' read -r path text; do
        [[ $path == '#'* ]] && continue
        [ -r "$path" ] || die "$path is missing; install the Debian package asterisk-core-sounds-en-g722"
        ffmpeg -v error -nostdin -f g722 -i "$path" -ar 16000 -ac 1 -f s16le - >>"$dir/talk.raw"
        head -c "$pause_bytes" /dev/zero >>"$dir/talk.raw"
        printf '%s\n' "$text" >>"$dir/talk.txt"
    done <"$prompts"
    ffmpeg -v error -nostdin -f s16le -ar 16000 -ac 1 -i "$dir/talk.raw" "$dir/talk.wav"
}

# The page can be opened until Ctrl-C, which is then a good end.
keep_page() {
    printf 'demo: %s\n' "the page stays open at $base_url/ until Ctrl-C" >&2
    trap 'exit 0' INT TERM
    wait "$service_pid" || die 'symbl-service has ended'
}

# Starts the service on a free port and leaves its address in $base_url.
start_service() {
    local line
    mkfifo "$dir/service.out"
    "$target/symbl-service" --listen 127.0.0.1:0 >"$dir/service.out" 2>"$dir/service.log" &
    service_pid=$!
    # Keeps the pipe open for the whole script; otherwise the service could not print.
    exec 3<"$dir/service.out"
    base_url=
    while IFS= read -r -t 60 line <&3; do
        case $line in
            'listening on '*)
                base_url=${line#listening on }
                return
                ;;
        esac
    done
    cat "$dir/service.log" >&2
    die 'symbl-service did not start; what it said is above'
}

for program in symbl-service symbl-view; do
    [ -x "$target/$program" ] || die "$target/$program is missing; run: make demo"
done

reference=()
names=()
if [ $# -gt 0 ]; then
    talk=$1
    [[ $talk == /* ]] || talk=$caller/$talk
    [ -r "$talk" ] || die "cannot read $talk"
else
    make_talk
    talk=$dir/talk.wav
    reference=(--reference "$dir/talk.txt")
    # The voice of the prompts.
    names=(speaker-name=Allison 'meeting-title="Demo talk"')
fi

# The neural recogniser needs its model, which is downloaded once.
"$target/symbl-service" model fetch tiny.en >/dev/null ||
    printf 'demo: %s\n' 'goes on without the neural recogniser, whose model cannot be had' >&2

start_service
export SYMBL_BASE_URL=$base_url
printf 'demo: %s\n' "service at $base_url, its live page at $base_url/" >&2

# Copies only the plugin, because GStreamer loads every library in the folder.
mkdir "$dir/plugins"
cp "$target/libgstsymbl.so" "$dir/plugins/"
export GST_PLUGIN_PATH=$dir/plugins${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}

# Quotes a value for gst-launch-1.0.
quote() {
    local value=${1//$'\n'/ }
    value=${value//\\/\\\\}
    printf '"%s"' "${value//\"/\\\"}"
}

play() {
    gst-launch-1.0 -m filesrc location="$(quote "$talk")" ! decodebin ! audioconvert \
        ! audioresample ! audio/x-raw,rate=16000,channels=1 \
        ! symblsink "${names[@]}" trackers="$(quote "$trackers")" \
            insight-types=action-item+question+follow-up+topic |
        "$target/symbl-view" "${reference[@]}"
}

# How long the picture waits for its captions, in milliseconds.
latency=4000

# Burns captions into a picture in real time. Each queue in front of the overlay and the
# muxer holds what waits for text.
play_video() {
    local wait="max-size-buffers=0 max-size-bytes=0 max-size-time=$(((latency + 4000) * 1000000))"
    local picture audio frames
    audio="$(quote "$talk")"
    if ffprobe -v error -select_streams v:0 -show_entries stream=codec_type -of csv=p=0 "$talk" |
        grep -q video; then
        picture='d. ! queue ! videoconvert ! videoscale ! video/x-raw,format=I420 '
    else
        frames=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$talk" |
            awk '{ print int(($1 + 1) * 25) }')
        picture="videotestsrc pattern=smpte100 num-buffers=$frames ! video/x-raw,width=1280,height=720,framerate=25/1 "
    fi
    # shellcheck disable=SC2086 # the parts of a pipeline are words
    gst-launch-1.0 -m filesrc location="$audio" ! decodebin name=d \
        $picture ! identity sync=true ! queue $wait ! overlay. \
        d. ! queue ! audioconvert ! audioresample ! audio/x-raw,rate=16000,channels=1 \
        ! identity sync=true ! tee name=a \
        a. ! queue ! symbltranscriber latency=$latency text-unit=cue interim-text=commit \
            "${names[@]}" trackers="$(quote "$trackers")" \
            insight-types=action-item+question+follow-up+topic ! overlay.text_sink \
        textoverlay name=overlay font-desc="Sans 20" shaded-background=true \
        ! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=veryfast ! h264parse \
        ! mp4mux name=mux ! filesink location="$(quote "$caller/captions.mp4")" \
        a. ! queue $wait ! lamemp3enc ! mpegaudioparse ! mux. |
        tee "$dir/messages" |
        "$target/symbl-view" "${reference[@]}"
}

# Writes the frame in the middle of the longest final.
picture_of_a_caption() {
    local at
    at=$(grep -a 'symbl/transcript.*is-final=(boolean)true' "$dir/messages" |
        sed -n 's/.*running-time=(guint64)\([0-9]*\).* duration=(guint64)\([0-9]*\).*/\1 \2/p' |
        sort -k2 -n | tail -n 1 | awk '{ printf "%.2f", ($1 + $2 * 0.7) / 1e9 }')
    [ -n "$at" ] || return 0
    ffmpeg -v error -nostdin -y -ss "$at" -i "$caller/captions.mp4" -frames:v 1 "$caller/captions.png"
    printf 'demo: %s\n' 'captions.mp4 has the picture with its captions, captions.png a frame of it' >&2
}

# Runs in the background, because only "wait" lets a signal through at once, and in a
# process group of its own, so that all of its processes can be stopped.
set -m
if [ -n "${VIDEO:-}" ]; then play_video & else play & fi
view_pid=$!
set +m
status=0
wait "$view_pid" || status=$?
view_pid=
if [ -n "${VIDEO:-}" ] && [ "$status" -eq 0 ]; then
    picture_of_a_caption
fi
if [ -n "${WEB:-}" ] && [ "$status" -eq 0 ]; then
    keep_page
fi
exit "$status"
