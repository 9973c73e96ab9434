#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole network comparison with one command, in about a quarter of an hour: builds a release, builds the hyper peer
# where Debian's crates are installed, runs every section and writes the report as Markdown.
#
# Usage: bench/net/report.sh [FILE or FOLDER] [more flags of compare.py]      (bench/results/DATE-net-report.md)
# A build of a release that is there already can be named in BUILD.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-build-report}
out=bench/results/$(date +%F)-net-report.md
case ${1:--} in
-*) ;;
/*) out=$1; shift ;;
*) out=$PWD/$1; shift ;;
esac
cd "$root"

[ -f "$build/build.ninja" ] || meson setup "$build" -Dbuildtype=release -Dtests=disabled
ninja -C "$build" gateway/taskgate bench/bench-load bench/ceil-uring bench/ceil-epoll
bench/net/hyper/build.sh || echo "report.sh: without hyper" >&2

# The kernel's count of system calls needs this file system, which is not always mounted.
[ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null ||
    echo "report.sh: tracefs is not mounted: system calls will not be counted" >&2

exec bench/net/compare.py --bin "$build/bench" --taskgate "$build/gateway/taskgate" --everything --seconds 1.5 \
    --out "$out" "$@"
