#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What to run first on a machine with a GPU, with one command: builds a release, runs every runner on the device, the suite
# `gpu`, compute-sanitizer, the batch former, bench-device, the timelines and the comparison with PyTorch. Each is a part of
# the report, which is written anew after each; a part that is younger than the build is kept, so a call that was cut short
# goes on where it was. Without a GPU the programs run on the cpu device, with small sizes.
#
# Usage: bench/gpu/report.sh [--part NAME]... [FILE or FOLDER]      (bench/results/DATE-gpu.md)
#   --part NAME    only this one, and anew: see the list of parts below
#
# BUILD names a release build that is there already, PEER a Python with PyTorch (bench/README.md), LONG=0 makes it short.
# Where nothing can be installed: tools/carry-deps.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
all='first-contact suite memcheck racecheck synccheck former rows knn-small knn-large timelines comparison'
wanted=
out=$root/bench/results
while [ $# -gt 0 ]; do
    case $1 in
    --part) wanted="$wanted ${2:?}"; shift ;;
    -*) sed -n 's/^# \{0,1\}//; 8,12p' "$0" >&2; exit 2 ;;
    /*) out=$1 ;;
    *) out=$PWD/$1 ;;
    esac
    shift
done
[ -d "$out" ] && out=$out/$(date +%F)-gpu.md
cd "$root"
build=${BUILD:-build-report-gpu}
# Those on the emulated device show what would be run.
bench=${BENCH_DEVICE:-$build/bench/bench-device} taskgate=${TASKGATE:-$build/gateway/taskgate}
peer=${PEER:-build/peer/bin/python}
[ -x "$peer" ] || peer=python3

say() { echo "report.sh: $*" >&2; }

# A command and what it said. One that fails or takes too long says so, and the others still run.
run() {
    say "$*"
    printf '```\n$ %s\n' "$*"
    timeout "${limit:-300}" "$@" 2>&1 || echo "exit status $?"
    printf '```\n\n'
}

build_all() {
    say "building in $build"
    # A compiler younger than ours may warn of more; and a device that is not built would only be left out.
    cuda=auto
    ! command -v nvidia-smi >/dev/null || cuda=enabled
    [ -f "$build/build.ninja" ] ||
        meson setup "$build" -Dbuildtype=release -Dwerror=false -Dcuda=$cuda >"$build/setup.log" 2>&1 ||
        { tail -n 30 "$build/setup.log" >&2; exit 1; }
    ninja -C "$build" >"$build/build.log" 2>&1 || { tail -n 30 "$build/build.log" >&2; exit 1; }
}

# ---- where it runs ------------------------------------------------------------------------------------------------

choose_sizes() {
    if "$bench" --device cuda --seconds 0.01 type=echo >"$build/probe.log" 2>&1; then
        device=cuda small=1000000x128 large=10000000x96 batches='1 16 256 4096' batch=4096 seconds=0.5 rows=1000000 compare_seconds=3
    else
        device=cpu small=20000x128 large=50000x96 batches='1 16 64' batch=256 seconds=0.3 rows=20000 compare_seconds=1
    fi
    rounds=3
    if [ "${LONG:-1}" = 0 ]; then
        seconds=0.1 rounds=1 compare_seconds=0.5 rows=20000
    fi
    [ -z "${BENCH_DEVICE:-}" ] || small=1100x16 large=1200x16 batches='1 16' batch=16 seconds=0.01
    parts=$build/report-$device server_cpus=0 load_cpu=1
    mkdir -p "$parts"
    find "$parts" -name '*.md' ! -newer "$build/bench/bench-device" -delete # of another build
    [ "$(nproc)" -lt 8 ] || server_cpus=0-3 load_cpu=4
}

heading() {
    echo "# GPU report"
    echo
    echo "$(date -u '+%F %H:%M UTC'), $(lscpu | sed -n 's/^Model name: *//p' | head -n 1), $(nproc) processors, Linux $(uname -r);" \
        "$("$taskgate" --version); load average $(cut -d' ' -f1 /proc/loadavg)."
    echo
    if [ $device = cuda ]; then
        nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,pcie.link.gen.current,pcie.link.width.current \
            --format=csv || echo "nvidia-smi is not here."
    else
        echo "**No GPU here** ($(tail -n 1 "$build/probe.log")): the same programs on the cpu device, with small sizes."
    fi
    echo
    printf '```\n$ taskgate doctor\n'
    "$taskgate" doctor |
        awk '/^(ok|warn|fail) / { show = $2 ~ /^(io|memlock|huge-pages|placement|gpu|toolkit)$/ } show && !/^status/'
    printf '```\n\n'
}

goals() {
    printf '## Against the goals\n\n'
    echo "For an H200; elsewhere they say nothing. Of each command's lines those with a goal, in the order below."
    printf '\n```\n'
    cat "$parts"/*.md 2>/dev/null | awk '/^\$ .*bench-device/ { name = $0; sub(/.*bench-device(-emulated)? /, "", name) }
                             /^goal:/ { if (name) print name; name = ""; print "  " $0 }'
    printf '```\n\n'
}

# ---- the parts ----------------------------------------------------------------------------------------------------

first_contact() {
    echo "## Every runner by every way to the device, against the cpu"
    echo
    run "$build/tests/gpu/test-gpu-every-way"
    run "$build/tests/gpu/test-gpu-tensor-sum"
}

suite() {
    echo "## The suite gpu"
    echo
    limit=550 run meson test -C "$build" --no-rebuild --setup hardware --suite gpu --print-errorlogs
}

# A plain program of one process, and small batches: what sanitizers see does not depend on how many rows there are.
sanitizer() {
    echo "## compute-sanitizer, $1"
    echo
    if command -v compute-sanitizer >/dev/null; then
        limit=550 run compute-sanitizer --tool "$1" --error-exitcode 9 --require-cuda-init=no \
            "$build/tests/gpu/test-gpu-every-way" 65
    else
        echo "Left out: compute-sanitizer is not in the path."
        echo
    fi
}

former() {
    echo "## The batch former by itself"
    echo
    echo "Goal: 5 million rows/s through one executor, that is 200 ns a row."
    echo
    run "$build/bench/bench-former" --rounds 11
}

rows() {
    echo "## Rows and batches"
    echo
    for type in echo 'saxpy n=256' 'saxpy n=4096'; do
        # shellcheck disable=SC2086
        run "$bench" --device $device --batch $batch --seconds $seconds type=$type
        # shellcheck disable=SC2086
        run "$bench" --device $device --batch $batch --streams 4 --seconds $seconds type=$type
    done
}

vectors() {
    echo "## $1 vectors"
    echo
    for n in $batches; do
        run "$bench" --device $device --batch "$n" --seconds $seconds type=knn "data=random:$1"
    done
    run "$bench" --device $device --batch $batch --seconds $seconds type=knn "data=random:$1" storage=fp16
    [ $device != cuda ] || run "$bench" --device $device --batch $batch --seconds $seconds type=knn "data=random:$1" tensor=off
}

timelines() {
    echo "## Where each microsecond goes"
    echo
    for type in echo 'saxpy n=256' 'knn data=builtin:digits'; do
        # shellcheck disable=SC2086
        run "$bench" --device $device --timeline --batch $batch --seconds $seconds type=$type
    done
}

comparison() {
    if "$peer" -c 'import aiohttp, numpy, torch' 2>/dev/null; then
        say "taskgate beside PyTorch"
        timeout 580 bench/gpu/compare.py --bin "$build/bench" --taskgate "$taskgate" --python "$peer" \
            --device $device --rows $rows --rounds $rounds --seconds $compare_seconds --server-cpus $server_cpus \
            --load-cpu $load_cpu | sed 's/^#/##/'
    else
        echo "## taskgate and PyTorch"
        echo
        echo "Left out: $peer has no PyTorch (bench/README.md has the command that makes it)."
    fi
}

write_part() {
    case $1 in
    first-contact) first_contact ;;
    suite) suite ;;
    memcheck | racecheck | synccheck) sanitizer "$1" ;;
    former) former ;;
    rows) rows ;;
    knn-small) vectors $small ;;
    knn-large) vectors $large ;;
    timelines) timelines ;;
    comparison) comparison ;;
    esac
}

# What is not of the device alone runs without one, too.
needed() {
    case $1 in
    first-contact | suite | memcheck | racecheck | synccheck) [ $device = cuda ] && [ -z "${BENCH_DEVICE:-}" ] ;;
    esac
}

write_report() {
    {
        cat "$parts/heading"
        goals
        [ $device = cuda ] || printf 'What needs a GPU is left out: tests on the device, sanitizers.\n\n'
        cat "$parts"/*.md 2>/dev/null || true
    } >"$parts/whole"
    cp "$parts/whole" "$out"
}

make_part() {
    file=$parts/$number-$1.md
    case " $wanted " in
    *" $1 "*) rm -f "$file" ;;
    '  ') ;;
    *) return ;;
    esac
    if [ ! -f "$file" ] && needed "$1"; then
        write_part "$1" >"$file.new"
        mv "$file.new" "$file"
        write_report
    fi
}

for part in $wanted; do
    case " $all " in
    *" $part "*) ;;
    *) say "there is no part $part; there are: $all"; exit 2 ;;
    esac
done
mkdir -p "$build"
build_all
choose_sizes
heading >"$parts/heading"
number=10
for part in $all; do
    make_part "$part"
    number=$((number + 1))
done
write_report
say "written to $out"
