# images.sh - what the scripts of this folder share: sizes of images, and bases that cannot be pulled.
#
# Sourced, never run. Sizes are printed as `docker images` prints them, in powers of 1000.
# shellcheck shell=bash

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Gives up early, in words, on a machine where no engine answers.
need_engine() {
    command -v docker >/dev/null || fail "docker is not installed"
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
        fail "no Docker engine answers: start one, or join the group that may use it"
}

human() {
    awk -v n="$1" 'BEGIN {
        split("B kB MB GB TB", unit, " ")
        for (i = 1; n >= 999.5 && i < 5; i++) n /= 1000
        printf(i == 1 ? "%d%s" : n < 9.995 ? "%.2f%s" : n < 99.95 ? "%.1f%s" : "%.0f%s", n, unit[i])
    }'
}

image_size() {
    docker image inspect --format '{{.Size}}' "$1"
}

# Share of $2 that $1 leaves out, as a percentage.
reduction() {
    awk -v part="$1" -v whole="$2" 'BEGIN { printf("%.2f%%", 100 * (1 - part / whole)) }'
}

# Prints the name under which base $1 can be built on: its own, or $2, which the stand-in recipe of folder
# $3 makes by its target $4.
base_or_stand_in() {
    if docker image inspect "$1" >/dev/null 2>&1 || docker pull -q "$1" >/dev/null 2>&1; then
        echo "$1"
        return
    fi
    echo "  $1 cannot be pulled: making $2 in its place" >&2
    build "$2" "$3/stand-in.Dockerfile" "$3" --target "$4" --build-arg "DEBIAN_MIRROR=${DEBIAN_MIRROR:-}"
    echo "$2"
}

# build IMAGE DOCKERFILE CONTEXT [ARGUMENT...]: quiet unless it fails. The host's network lets a build reach
# what the machine reaches, such as an index on loopback.
build() {
    local image=$1 file=$2 context=$3 log
    shift 3
    log=$(mktemp)
    if ! docker build --network host -t "$image" -f "$file" "$@" "$context" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "$image does not build from $file"
    fi
    rm -f "$log"
}

# What `docker history` tells, to be read at a glance: layers that weigh, oldest first, the largest marked.
print_history() {
    local image=$1 largest empty=0 size made_by mark
    largest=$(docker history --human=false --format '{{.Size}}' "$image" | sort -n | tail -n 1)
    echo "docker history $image"
    while read -r size made_by; do
        if [ "$size" = 0 ]; then
            empty=$((empty + 1))
            continue
        fi
        made_by=$(printf '%s' "$made_by" | sed 's,^|[0-9]* .*/bin/sh -c ,RUN ,; s,^/bin/sh -c #(nop) *,,
            s,^/bin/sh -c ,RUN ,; s,[[:space:]][[:space:]]*, ,g')
        if [ "$size" = "$largest" ]; then mark='largest >'; else mark=''; fi
        printf '  %9s %8s  %.90s\n' "$mark" "$(human "$size")" "$made_by"
    done < <(docker history --no-trunc --human=false --format '{{.Size}} {{.CreatedBy}}' "$image" | tac)
    echo "            and $empty steps that weigh nothing"
}
