# shellcheck shell=bash disable=SC2154 # services.sh sets what all of them use
# PostgreSQL from Debian's package, without its cluster "main". It refuses root; as root it runs as user postgres.

postgres_programs() {
    find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1
}

# Where its data is: beside the rest, unless user postgres may not walk to there.
postgres_folder() {
    local beside=$folder/postgres
    if [ "$(id -u)" -ne 0 ] || as_postgres test -x "$folder"; then
        printf '%s' "$beside"
    else
        printf '/var/lib/postgresql/hub-services-%s' "$(printf '%s' "$folder" | sha256sum | cut -c1-12)"
    fi
}

as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

postgres_ports() {
    say "$postgres_port"
}


# Made whole or not at all: a start that was interrupted begins again.
postgres_create() {
    local where=$1
    [ -e "$where/data/PG_VERSION" ] && return
    rm -rf "$where"
    install -d -m 700 "$where"
    (umask 077 && secret postgres >"$where/password")
    [ "$(id -u)" -ne 0 ] || chown -R postgres: "$where"
    as_postgres "$(postgres_programs)/initdb" --pgdata="$where/new" --username="$user" --pwfile="$where/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-sync >"$logs/initdb.log" 2>&1 ||
        fail "initdb failed: $(tail -n 3 "$logs/initdb.log")"
    rm "$where/password"
    mv "$where/new" "$where/data"
}

postgres_configure() {
    local where=$1
    # It insists on a key that is its own.
    rm -rf "$where/tls"
    install -d -m 700 "$where/tls"
    install -m 600 "$tls/ca.pem" "$tls/server.pem" "$tls/server.key" "$where/tls"
    [ "$(id -u)" -ne 0 ] || chown -R postgres: "$where/tls"
    cat >"$where/data/postgresql.conf" <<EOF
# Written by deploy/services.sh at each start.
listen_addresses = '127.0.0.1'
port = $postgres_port
unix_socket_directories = ''
max_connections = 200
shared_buffers = 128MB
max_wal_size = 1GB
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
ssl = on
ssl_ca_file = '../tls/ca.pem'
ssl_cert_file = '../tls/server.pem'
ssl_key_file = '../tls/server.key'
log_line_prefix = '%m [%p] %q%u@%d '
EOF
    cat >"$where/data/pg_hba.conf" <<EOF
# Written by deploy/services.sh at each start. The same port takes TLS; the database tls_only takes nothing else.
hostnossl tls_only all 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
EOF
}

postgres_start() {
    local where
    where=$(postgres_folder)
    postgres_create "$where"
    postgres_configure "$where"
    # A pid of before the last kill may belong to another process by now, and PostgreSQL would believe in it.
    rm -f "$where/data/postmaster.pid"
    if [ "$(id -u)" -eq 0 ]; then
        launch postgres "$where" setpriv --reuid=postgres --regid=postgres --init-groups -- \
            "$(postgres_programs)/postgres" -D "$where/data"
    else
        launch postgres "$where" "$(postgres_programs)/postgres" -D "$where/data"
    fi
}

postgres_psql() {
    PGPASSWORD=$(secret postgres) PGCONNECT_TIMEOUT=5 "$(postgres_programs)/psql" --no-psqlrc \
        --host=127.0.0.1 --port="$postgres_port" --username="$user" "$@"
}

postgres_answers() {
    postgres_psql --dbname=postgres --tuples-only --command='SELECT 1' >/dev/null
}

postgres_settle() {
    local name there
    there=$(postgres_psql --dbname=postgres --tuples-only --no-align --command='SELECT datname FROM pg_database')
    for name in hub tls_only; do
        grep -qx "$name" <<<"$there" ||
            postgres_psql --dbname=postgres --quiet --command="CREATE DATABASE $name"
    done
}

# "Fast": sessions are ended, nothing is lost.
postgres_signal() {
    ask_to_end postgres INT
}

postgres_stop() {
    stop postgres 30
    postgres_sweep
}

postgres_sweep() {
    sweep "$(postgres_folder)" postgres
}

postgres_delete() {
    rm -rf "$(postgres_folder)"
}
