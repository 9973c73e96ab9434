#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Check the protocol models with spin, and that each deliberately broken variant is caught: a model that cannot fail
# shows nothing. Exit 77 (skipped) without spin. CC names the compiler, cc by default.
set -u
models=$(cd "$(dirname "$0")" && pwd)
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work" || exit 1
bad=0
optimise=-O0 # most verifiers run for less time than they take to compile

# search MODEL FLAGS...: the verifier's report in $report; incomplete searches count as no result.
search()
{
    model=$1
    shift
    rm -f pan pan.* ./*.trail
    spin "$@" -a "$models/$model.pml" >spin.out 2>&1 || { cat spin.out; return 1; }
    ${CC:-cc} $optimise -w -DSAFETY -o pan pan.c || return 1
    ./pan -m100000 >report.out 2>&1
    ! grep -q 'max search depth too small\|out of memory' report.out
}

states() { sed -n 's/^ *\([0-9e+.]*\) states, stored.*/\1/p' report.out; }

holds()
{
    if search "$@" && grep -q 'errors: 0$' report.out; then
        echo "ok    $* holds in all $(states) states"
    else
        echo "FAIL  $* does not hold"
        cat report.out
        bad=1
    fi
}

# fails SYMPTOM MODEL FLAGS...
fails()
{
    symptom=$1
    shift
    if search "$@" && grep -q "^pan:1: $symptom" report.out; then
        echo "ok    $* fails, as it must: $symptom"
    else
        echo "FAIL  $* was not caught"
        bad=1
    fi
}

optimise=-O2
holds doorbell
holds doorbell -DEVENT
optimise=-O0
fails 'invalid end state' doorbell -DBROKEN_ARM
fails 'invalid end state' doorbell -DBROKEN_RING
fails 'invalid end state' doorbell -DBROKEN_TOKEN
fails 'invalid end state' doorbell -DBROKEN_COUNT
fails 'invalid end state' doorbell -DEVENT -DBROKEN_ARM
fails 'invalid end state' doorbell -DEVENT -DBROKEN_RING

holds lane
fails 'assertion violated' lane -DBROKEN_PUBLISH
fails 'assertion violated' lane -DBROKEN_COMPLETE
fails 'assertion violated' lane -DBROKEN_RETIRE
fails 'invalid end state' lane -DBROKEN_DRAIN
exit $bad
