#!/usr/bin/env bash
# Tries deploy/services.sh in a folder and a block of ports of its own, with real servers. Prints what it tries; the
# first thing that is not so ends it.
set -euo pipefail
cd "$(dirname "$0")/.."

HUB_SERVICES_FOLDER=$PWD/target/services-test
HUB_SERVICES_PORT=$((${HUB_SERVICES_PORT:-25400} + 40))
export HUB_SERVICES_FOLDER HUB_SERVICES_PORT
postgres=$HUB_SERVICES_PORT
rabbitmq=$((HUB_SERVICES_PORT + 10))
kafka=$((HUB_SERVICES_PORT + 20))

services() {
    deploy/services.sh "$@"
}

clean() {
    services down >/dev/null 2>&1 || true
}

not_so() {
    printf 'not so: %s\n' "$*" >&2
    exit 1
}

trying() {
    printf -- '- %s\n' "$*"
}

# says CODE TEXT COMMAND...: it ends with this code and says this.
says() {
    local code=$1 text=$2 said outcome=0
    shift 2
    said=$("$@" 2>&1) || outcome=$?
    [ "$outcome" -eq "$code" ] || not_so "\"$*\" ends with $code; it ended with $outcome and said: $said"
    grep -qF -- "$text" <<<"$said" || not_so "\"$*\" says \"$text\"; it said: $said"
}

# Everything that works in the folder.
processes() {
    find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*' -name cwd -lname "$HUB_SERVICES_FOLDER*" 2>/dev/null || true
}

# trusts PORT ARGUMENT...: its certificate is by the authority and for 127.0.0.1.
trusts() {
    local port=$1
    shift
    says 0 'Verify return code: 0 (ok)' openssl s_client -connect "127.0.0.1:$port" -verify_ip 127.0.0.1 \
        -CAfile "$HUB_SERVICES_FOLDER/tls/ca.pem" -verify_return_error "$@"
}

trap clean EXIT
clean
rm -rf "$HUB_SERVICES_FOLDER"

trying 'what it does not know is told, with 2'
says 2 'there is no command "start"' services start
says 2 'there is no part "mysql"' services up mysql
says 2 'is no port' env HUB_SERVICES_PORT=high deploy/services.sh up
says 0 'Examples:' services --help

trying 'nothing is up at first'
says 1 'postgres is not up' services status
says 1 'kafka is not running' services kill kafka

trying 'a port that another process has is told, with who has it'
python3 -c "import socket, time
taken = socket.create_server(('127.0.0.1', $postgres)); time.sleep(600)" &
other=$!
until (exec 3<>"/dev/tcp/127.0.0.1/$postgres") 2>/dev/null; do sleep 0.1; done
says 1 "port $postgres is taken by pid $other" services up postgres
kill "$other"
wait "$other" 2>/dev/null || true

trying 'two that start it at once both succeed, and each server answers'
services up &
services up
wait "$!"
says 0 "kafka is up on 127.0.0.1:$kafka" services status
says 0 "kept" services psql --quiet --tuples-only --command="CREATE TABLE kept AS SELECT 'kept' AS word" \
    --command='SELECT word FROM kept'
says 0 'administrator' services rabbitmqctl list_users
says 0 'Created topic kept' services kafka TopicCommand --create --topic kept --partitions 2

trying 'only the owner reads the passwords'
[ "$(stat --format=%a "$HUB_SERVICES_FOLDER/env")" = 600 ] || not_so 'env is for its owner only'

trying 'TLS of each is by the authority'
trusts "$postgres" -starttls postgres </dev/null
trusts $((rabbitmq + 1)) </dev/null
trusts $((kafka + 6)) </dev/null
trusts $((kafka + 9)) </dev/null

trying 'up, when up, starts nothing'
before=$(cat "$HUB_SERVICES_FOLDER"/run/*.pid)
services up 2>&1
[ "$before" = "$(cat "$HUB_SERVICES_FOLDER"/run/*.pid)" ] || not_so 'the same processes run'
says 1 'stop them first' env HUB_SERVICES_PORT=$((HUB_SERVICES_PORT + 40)) deploy/services.sh up

trying 'one that was killed is told, the others stay, and up repairs it'
services kill kafka
says 1 'kafka is not up: not running' services status
says 0 'rabbitmq is up' services status postgres rabbitmq
services up
says 0 'kafka is up' services status
says 0 'PartitionCount: 2' services kafka TopicCommand --describe --topic kept

trying 'all killed at once come back with their data'
services kill
services up
says 0 'kept' services psql --tuples-only --command='SELECT word FROM kept'

trying 'with leaves what was up, and gives the outcome of its command'
says 7 '' services with sh -c 'exit 7'
says 0 'postgres is up' services status

trying 'reset starts afresh'
services reset postgres
says 1 'relation "kept" does not exist' services psql --command='SELECT word FROM kept'

trying 'down leaves no process, and no env for tests to believe'
services down
[ -z "$(processes)" ] || not_so "no process is left: $(processes)"
[ ! -e "$HUB_SERVICES_FOLDER/env" ] || not_so 'env is gone'
says 1 'postgres is not up: not running' services status

trying 'with stops what it started'
says 0 'postgres is up' services with deploy/services.sh status
[ -z "$(processes)" ] || not_so "no process is left after with: $(processes)"

echo 'all of it is so'
