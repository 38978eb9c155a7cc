#!/usr/bin/env bash
# Real servers for the tests, on loopback, without Docker: PostgreSQL and RabbitMQ from Debian's packages, Apache
# Kafka from Maven. Touches no service of the system.
set -euo pipefail

usage() {
    cat <<'EOF'
Starts and stops PostgreSQL, RabbitMQ and Kafka for the tests, on 127.0.0.1.

    deploy/services.sh up [PART...] [--cluster]   start what is not up, and wait until each answers
    deploy/services.sh status [PART...]           say what is up; ends with 1 if something is not
    deploy/services.sh down [PART...]             stop; the data stays
    deploy/services.sh kill [PART...]             kill -9, for tests of what happens then
    deploy/services.sh reset [PART...]            stop, delete the data, start afresh
    deploy/services.sh with COMMAND...            run a command with all of them up; what was not up is stopped after it
    deploy/services.sh prepare                    only what clients and deploy/compose.yaml need: env, passwords, certificates
    deploy/services.sh psql|rabbitmqctl [ARGUMENT...]
    deploy/services.sh kafka TOOL [ARGUMENT...]   a tool of Kafka by its class, as TopicCommand

A PART is postgres, rabbitmq, kafka, or kafka-1 to kafka-3 when it is a cluster; none means all. With --cluster Kafka
has three nodes that replicate, until it is started without.

Clients read where they are, and the passwords, from target/services/env.

Variables:
    HUB_SERVICES_PORT    first of a block of 40 ports; default 25400, or the one that this folder had last
    HUB_SERVICES_FOLDER  where data and logs are; default target/services

Examples:
    deploy/services.sh up
    deploy/services.sh kill kafka && deploy/services.sh up kafka
    HUB_SERVICES_PORT=25500 deploy/services.sh up postgres
    deploy/services.sh kafka TopicCommand --create --topic ndp.prescription.events --partitions 6
    deploy/services.sh with cargo test --workspace --features hub/crash-points

Ends with 0 when it was done, 1 when not, 2 when the question was wrong.
EOF
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
folder=$(realpath --canonicalize-missing "${HUB_SERVICES_FOLDER:-$root/target/services}")
libraries=$root/target/kafka
run=$folder/run
logs=$folder/log
tls=$folder/tls

# shellcheck source-path=SCRIPTDIR
. "$here/services/processes.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/services/secrets.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/services/postgres.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/services/rabbitmq.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/services/kafka.sh"

# Longer than any of them needs to start on a machine that builds at the same time, in seconds.
START_WITHIN=300
# Longer than another call of this script takes, in seconds.
LOCK_WITHIN=600
PORT_DEFAULT=25400

wrong() {
    printf 'services.sh: %s\nTry deploy/services.sh --help\n' "$*" >&2
    exit 2
}

# remembered NAME DEFAULT: what this folder had last.
remembered() {
    if [ -s "$folder/$1" ]; then cat "$folder/$1"; else say "$2"; fi
}

ports_from() {
    postgres_port=$1
    rabbitmq_port=$(($1 + 10))
    kafka_port=$(($1 + 20))
}

# expand PART...: the parts that these words mean, a line each.
expand() {
    local word node
    [ $# -gt 0 ] || set -- postgres rabbitmq kafka
    for word in "$@"; do
        case $word in
        postgres | rabbitmq) say "$word" ;;
        kafka)
            if [ "$kafka_nodes" -eq 1 ]; then
                say kafka
            else
                for node in $(seq "$kafka_nodes"); do say "kafka-$node"; done
            fi
            ;;
        kafka-[1-3])
            [ "$kafka_nodes" -gt 1 ] || wrong "$word: Kafka has one node here; start it with --cluster for three"
            say "$word"
            ;;
        *) wrong "there is no part \"$word\"; there are postgres, rabbitmq, kafka" ;;
        esac
    done
}

# choose WORD...: sets `parts` of the caller; ends with 2 when there is no such part.
choose() {
    local list
    list=$(expand "$@") || exit 2
    mapfile -t parts <<<"$list"
}

# of PART FUNCTION: calls FUNCTION of the server that this part belongs to.
of() {
    local part=$1 function=$2
    "${part%%-*}_$function" "$part"
}

answers() {
    pid_of "$1" >/dev/null || { say "not running" && return 1; }
    of "$1" answers
}

lock() {
    mkdir -p "$folder" "$run" "$logs"
    chmod 711 "$folder"
    exec 9>"$folder/lock"
    flock --nonblock 9 && return
    say "another services.sh is at work on $folder, waiting for it" >&2
    flock --timeout "$LOCK_WITHIN" 9 || fail "it was at work for more than $LOCK_WITHIN s"
}

require() {
    local missing=""
    [ -n "$(postgres_programs)" ] || missing+=" postgresql"
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=" rabbitmq-server"
    local command
    for command in java mvn openssl python3 flock setsid setpriv; do
        command -v "$command" >/dev/null || missing+=" $command"
    done
    [ -n "$missing" ] || return 0
    say "missing:$missing; installing" >&2
    "$here/prerequisites.sh" >&2
}

free_ports() {
    local part=$1 taken
    # shellcheck disable=SC2046 # several ports
    taken=$(python3 "$here/services/ask.py" holders $(of "$part" ports))
    [ -z "$taken" ] || fail "$part cannot start:
$taken
Stop that, or choose another block with HUB_SERVICES_PORT"
}

await() {
    local part=$1 start=$SECONDS told=2 why
    until why=$(answers "$part" 2>&1); do
        if ! pid_of "$part" >/dev/null; then
            tail -n 15 "$logs/$part.log" >&2
            fail "$part ended while it started; all it said is in $logs/$part.log"
        fi
        ((SECONDS - start < START_WITHIN)) || fail "$part does not answer within $START_WITHIN s: $why; see $logs/$part.log"
        if ((SECONDS - start >= told)); then
            say "$part: starting, $((SECONDS - start)) s" >&2
            told=$((told + 3))
        fi
        pause
    done
}

# note NAME VALUE: for `remembered`.
note() {
    say "$2" >"$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
}

running() {
    local part
    for part in postgres rabbitmq kafka kafka-1 kafka-2 kafka-3; do
        pid_of "$part" >/dev/null && say "$part"
    done
    return 0
}

# A folder has its servers in one block of ports, and one kind of Kafka, at a time.
settle_shape() {
    local wanted=$1 base=$2 there
    there=$(running)
    if [ -n "$there" ] && [ "$(remembered port "$base")" != "$base" ]; then
        fail "these are up from port $(remembered port "$base") on, not from $base: ${there//$'\n'/ }; stop them first: down"
    fi
    if [ "$wanted" -eq 3 ] && grep -qx kafka <<<"$there"; then
        fail "Kafka is up as one node; stop it first: down kafka"
    fi
    ! grep -q kafka- <<<"$there" || wanted=3
    kafka_nodes=$wanted
    note port "$base"
    note kafka.nodes "$wanted"
}

# settle PART: what is left to do once it answers, unless it was done since it started.
settle() {
    local process
    process=$(cat "$run/$1.pid")
    [ "$(cat "$run/$1.settled" 2>/dev/null)" != "$process" ] || return 0
    of "$1" settle
    say "$process" >"$run/$1.settled"
}

start_all() {
    local part parts=()
    choose "$@"
    make_tls
    write_env
    for part in "${parts[@]}"; do
        if ! pid_of "$part" >/dev/null; then
            of "$part" sweep
            free_ports "$part"
            say "$part: starting" >&2
            of "$part" start
        fi
    done
    for part in "${parts[@]}"; do
        await "$part"
        settle "$part"
    done
    say "up: ${parts[*]}; clients read $folder/env"
}

stop_all() {
    local part parts=()
    choose "$@"
    # All together: the last node of a cluster would wait in vain for the others to take over from it.
    for part in "${parts[@]}"; do
        of "$part" signal
    done
    for part in "${parts[@]}"; do
        of "$part" stop
    done
    [ -n "$(running)" ] || rm -f "$folder/env"
}

# Who asks for servers keeps them, also when a `with` had started them.
up() {
    local nodes=1 words=()
    while [ $# -gt 0 ]; do
        case $1 in
        --cluster) nodes=3 ;;
        *) words+=("$1") ;;
        esac
        shift
    done
    require
    lock
    settle_shape "$nodes" "$base"
    rm -f "$folder/transient"
    start_all "${words[@]}"
}

down() {
    local parts=()
    choose "$@"
    lock
    stop_all "$@"
    rm -f "$folder/transient"
    say "down: ${parts[*]}"
}

kill_all() {
    local part pid parts=()
    lock
    choose "$@"
    for part in "${parts[@]}"; do
        pid=$(pid_of "$part") || fail "$part is not running"
        kill -s KILL "$pid"
        gone "$part" 10 || fail "$part (pid $pid) does not end"
        say "killed: $part, pid $pid"
    done
}

reset() {
    local part parts=()
    require
    lock
    choose "$@"
    stop_all "$@"
    for part in "${parts[@]}"; do
        of "$part" delete
    done
    settle_shape "$kafka_nodes" "$base"
    start_all "$@"
}

# For deploy/compose.yaml.
prepare() {
    lock
    settle_shape 1 "$base"
    make_tls
    write_env
    write_compose_env
    say "clients read $folder/env, compose $folder/compose.env"
}

# Several may run at once: the last one stops what they started.
with_all() {
    local before
    [ $# -gt 0 ] || wrong "with what command?"
    require
    mkdir -p "$folder"
    exec 8>"$folder/users"
    flock --shared 8
    lock
    before=$(running)
    settle_shape "$kafka_nodes" "$base"
    trap stop_transient EXIT
    start_all >&2
    running | grep -vxF -e "${before:-none}" >>"$folder/transient" || true
    flock --unlock 9
    "$@" 8>&- 9>&-
}

# shellcheck disable=SC2317 # called by the trap
stop_transient() {
    local parts=() outcome=$?
    flock --unlock 8
    if flock --exclusive --nonblock 8; then
        lock
        mapfile -t parts < <(sort -u "$folder/transient" 2>/dev/null)
        rm -f "$folder/transient"
        [ ${#parts[@]} -eq 0 ] || stop_all "${parts[@]}"
    fi
    exit "$outcome"
}

status() {
    local part parts=() all_up=0 why
    choose "$@"
    for part in "${parts[@]}"; do
        if why=$(answers "$part" 2>&1); then
            say "$part is up on 127.0.0.1:$(of "$part" ports | head -n 1), pid $(pid_of "$part")"
        else
            say "$part is not up: $(tail -n 1 <<<"$why")"
            all_up=1
        fi
    done
    return "$all_up"
}

# tool COMMAND ARGUMENT...: a client of a server, with what it needs to log in.
tool() {
    local name=$1 server
    shift
    case $name in
    psql) server=postgres ;;
    rabbitmqctl) server=rabbitmq ;;
    kafka) server=kafka ;;
    esac
    grep -q "^$server" <<<"$(running)" || fail "$server is not up: deploy/services.sh up $server"
    case $name in
    psql) postgres_psql --dbname=hub "$@" ;;
    rabbitmqctl) rabbitmq_ctl "$@" ;;
    kafka) kafka_tool "$@" ;;
    esac
}

main() {
    [ $# -gt 0 ] || { usage >&2 && exit 2; }
    local command=$1
    shift
    base=${HUB_SERVICES_PORT:-$(remembered port "$PORT_DEFAULT")}
    [[ $base =~ ^[0-9]{4,5}$ && $base -ge 1024 && $base -le 65495 ]] || wrong "HUB_SERVICES_PORT is no port: $base"
    [[ $command = up || $command = prepare || $command = reset || $command = with ]] || base=$(remembered port "$base")
    ports_from "$base"
    kafka_nodes=$(remembered kafka.nodes 1)
    case $command in
    up) up "$@" ;;
    down) down "$@" ;;
    kill) kill_all "$@" ;;
    reset) reset "$@" ;;
    prepare) prepare ;;
    with) with_all "$@" ;;
    status) status "$@" ;;
    psql | rabbitmqctl | kafka) tool "$command" "$@" ;;
    -h | --help | help) usage ;;
    *) wrong "there is no command \"$command\"" ;;
    esac
}

main "$@"
exit # what stands here by then may be another version of this file
