# SPDX-License-Identifier: Apache-2.0
# Steps on the screen, for tools/quickstart and tools/test. Sourced by bash, with `steps` set to how many there are.
# Colour and progress only on a terminal; a step's own output goes to its log and is shown if it fails.

if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
    on_terminal=yes bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m' clear_line=$'\r\e[K'
else
    on_terminal='' bold='' red='' green='' plain='' clear_line=''
fi
step_number=0

# Background jobs of a script do not hear Ctrl-C.
trap 'kill $(jobs -p) 2>/dev/null || true; echo; exit 130' INT TERM

# step NAME: begin the next one.
step()
{
    step_number=$((step_number + 1))
    step_label=$(printf '%d/%d %-10s' "$step_number" "$steps" "$1")
    SECONDS=0
    if [ -n "$on_terminal" ]; then printf '%s' "$bold$step_label$plain"; fi
}

# step_done TEXT: how it ended; step_ok TEXT: well.
step_done() { printf '%s\n' "$clear_line$bold$step_label$plain $1"; }
step_ok() { step_done "${green}ok$plain, $1"; }

# step_failed TEXT [LOG]: likewise; shows the end of LOG and leaves.
step_failed()
{
    step_done "${red}failed$plain: $1"
    if [ -n "${2:-}" ]; then
        echo "---- the end of $2"
        tail -n 40 "$2"
        echo "----"
    fi
    exit 1
}

took() { if [ "$SECONDS" -ge 2 ]; then printf ' (%d s)' "$SECONDS"; fi; }

# logged LOG COMMAND...: run it; on a terminal show how far ninja or meson is, as their last "[3/40]" or "3/40" says.
logged()
{
    local log=$1 job progress
    shift
    "$@" >>"$log" 2>&1 </dev/null &
    job=$!
    while [ -n "$on_terminal" ] && kill -0 "$job" 2>/dev/null; do
        sleep 0.3
        progress=$(tail -c 4000 "$log" | tr '\r' '\n' | grep -oE '^\[? *[0-9]+/[0-9]+\]?' | tail -n 1)
        printf '%s' "$clear_line$bold$step_label$plain $progress"
    done
    wait "$job"
}

# install_packages FLAGS...: the packages step. Says what it installs, as it goes.
install_packages()
{
    local output
    if output=$(tools/install-deps "$@" --no-install 2>&1); then
        step_ok "${output##*$'\n'}"
        return
    fi
    printf '%s' "${clear_line:-}"
    if [[ " $* " == *" --no-install "* ]]; then
        echo "$output"
        step_failed "packages are missing"
    fi
    tools/install-deps "$@" || step_failed "packages are missing"
    step_ok "installed$(took)"
}

# configure FOLDER OPTIONS...: a build folder with these options. One that cannot be used, because it is half made or was
# moved here from elsewhere, is made anew. Answers whatever meson does.
configure()
{
    local folder=$1
    shift
    if [ -f "$folder/build.ninja" ] && meson setup --reconfigure "$folder" "$@"; then
        return
    fi
    rm -rf "$folder"
    meson setup "$folder" "$@"
}
