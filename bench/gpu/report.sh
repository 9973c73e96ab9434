#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What to run first on a machine with a GPU, with one command: builds a release, runs the suite `gpu`, that suite under
# compute-sanitizer, bench-device on echo, saxpy and two sets of vectors, the timeline, and the comparison with PyTorch.
# Everything goes into one report as Markdown. Without a GPU the programs run on the cpu device, with small sizes.
#
# Usage: bench/gpu/report.sh [FILE or FOLDER]      (bench/results/DATE-gpu-report.md)
# BUILD names a release build that is there already, PEER a Python with PyTorch (bench/README.md), LONG=0 makes it short.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-build-report-gpu}
peer=${PEER:-build/peer/bin/python}
out=$root/bench/results
case ${1:-} in
'') ;;
/*) out=$1 ;;
*) out=$PWD/$1 ;;
esac
[ -d "$out" ] && out=$out/$(date +%F)-gpu-report.md
cd "$root"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# A command and what it said, as a part of the report. One that fails says so, and the others still run.
run() {
    echo "report.sh: $*" >&2
    printf '```\n$ %s\n' "$*"
    "$@" 2>&1 || echo "exit status $?"
    printf '```\n\n'
}

[ -f "$build/build.ninja" ] || meson setup "$build" -Dbuildtype=release >&2
ninja -C "$build" gateway/taskgate bench/bench-load bench/bench-device >&2
bench="$build/bench/bench-device"

if "$bench" --device cuda --seconds 0.01 type=echo >"$work/first" 2>&1; then
    device=cuda sizes='1000000x128 10000000x96' batches='1 16 256 4096' batch=4096 seconds=1 rows=1000000 compare_seconds=3
else
    device=cpu sizes='20000x128 50000x96' batches='1 16 64' batch=256 seconds=0.3 rows=20000 compare_seconds=1
fi
rounds=3
[ "${LONG:-1}" = 0 ] && seconds=0.1 rounds=1 compare_seconds=0.5
server_cpus=0 load_cpu=1
[ "$(nproc)" -ge 8 ] && server_cpus=0-3 load_cpu=4

heading() {
    echo "# GPU report"
    echo
    echo "$(date -u '+%F %H:%M UTC'), $(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) processors, Linux $(uname -r);" \
        "$("$build/gateway/taskgate" --version); load average at the start $(cut -d' ' -f1 /proc/loadavg)."
    echo
    if [ $device = cuda ]; then
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader
    else
        echo "**No GPU here** ($(tail -n 1 "$work/first")): the same programs on the cpu device, with small sizes."
    fi
    echo
    printf '```\n$ taskgate doctor\n'
    "$build/gateway/taskgate" doctor |
        awk '/^(ok|warn|fail) / { show = $2 ~ /^(io|memlock|huge-pages|placement|gpu|toolkit)$/ } show && !/^status/'
    printf '```\n\n'
}

tests() {
    echo "## Tests on the device"
    echo
    if [ $device != cuda ]; then
        echo "Left out: no GPU."
        echo
        return
    fi
    ninja -C "$build" >&2
    run meson test -C "$build" --no-rebuild --setup hardware --suite gpu --print-errorlogs
    for tool in memcheck racecheck; do
        if command -v compute-sanitizer >/dev/null; then
            run meson test -C "$build" --no-rebuild --setup hardware --suite gpu --timeout-multiplier 20 \
                --wrapper "compute-sanitizer --tool $tool --error-exitcode 1"
        else
            echo "compute-sanitizer $tool: left out, it is not installed."
            echo
        fi
    done
}

figures() {
    echo "## Rows and batches"
    echo
    for type in echo 'saxpy n=256' 'saxpy n=4096'; do
        # shellcheck disable=SC2086
        run "$bench" --device $device --batch $batch --seconds "$seconds" type=$type
    done
    for size in $sizes; do
        echo "### $size vectors"
        echo
        for n in $batches; do
            run "$bench" --device $device --batch "$n" --seconds "$seconds" type=knn "data=random:$size"
        done
        if [ $device = cuda ]; then
            run "$bench" --device $device --batch $batch --seconds "$seconds" type=knn "data=random:$size" tensor=off
        fi
    done
}

timelines() {
    echo "## Where each microsecond goes"
    echo
    for type in echo 'saxpy n=256' 'knn data=builtin:digits'; do
        # shellcheck disable=SC2086
        run "$bench" --device $device --timeline --batch 256 --seconds "$seconds" type=$type
    done
}

comparison() {
    if "$peer" -c 'import aiohttp, numpy, torch' 2>/dev/null; then
        bench/gpu/compare.py --bin "$build/bench" --taskgate "$build/gateway/taskgate" --python "$peer" --device $device \
            --rows $rows --rounds $rounds --seconds $compare_seconds --server-cpus $server_cpus --load-cpu $load_cpu |
            sed 's/^#/##/'
    else
        echo "## taskgate and PyTorch"
        echo
        echo "Left out: $peer has no PyTorch (bench/README.md has the command that makes it)."
    fi
}

{
    heading
    tests
    figures
    timelines
    comparison
} >"$work/report.md"
mv "$work/report.md" "$out"
echo "report.sh: written to $out" >&2
