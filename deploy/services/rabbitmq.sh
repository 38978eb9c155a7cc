# shellcheck shell=bash disable=SC2154 # services.sh sets what all of them use
# RabbitMQ from Debian's package, with a name server of Erlang (epmd), a cookie and a user of its own; no guest.

# For clients, for clients with TLS, for tools, and of the name server.
rabbitmq_ports() {
    printf '%s\n' "$rabbitmq_port" $((rabbitmq_port + 1)) $((rabbitmq_port + 2)) $((rabbitmq_port + 3))
}

# Sets `with_rabbitmq`: what goes before the command of its server or of a tool of it.
rabbitmq_environment() {
    local where=$folder/rabbitmq loopback='-kernel inet_dist_use_interface {127,0,0,1}'
    with_rabbitmq=(env "HOME=$where/home"
        "RABBITMQ_NODENAME=hub@localhost"
        "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1"
        "RABBITMQ_NODE_PORT=$rabbitmq_port"
        "RABBITMQ_DIST_PORT=$((rabbitmq_port + 2))"
        "ERL_EPMD_PORT=$((rabbitmq_port + 3))"
        "ERL_EPMD_ADDRESS=127.0.0.1"
        "RABBITMQ_CTL_DIST_PORT_MIN=$((rabbitmq_port + 4))"
        "RABBITMQ_CTL_DIST_PORT_MAX=$((rabbitmq_port + 9))"
        "RABBITMQ_CTL_ERL_ARGS=$loopback"
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=$loopback +sbwt none +sbwtdcpu none +sbwtdio none"
        "RABBITMQ_CONF_ENV_FILE=$where/none"
        "RABBITMQ_CONFIG_FILE=$where/rabbitmq.conf"
        "RABBITMQ_ADVANCED_CONFIG_FILE=$where/none"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$where/enabled_plugins"
        "RABBITMQ_MNESIA_BASE=$where/data"
        "RABBITMQ_LOG_BASE=$logs/rabbitmq"
        "RABBITMQ_PID_FILE=$where/server.pid"
        RUNNING_UNDER_SYSTEMD=true) # the server becomes this process, instead of a child of a script
}

rabbitmq_ctl() {
    rabbitmq_environment
    "${with_rabbitmq[@]}" /usr/lib/rabbitmq/bin/rabbitmqctl "$@"
}

rabbitmq_configure() {
    local where=$1
    install -d -m 700 "$where" "$where/home" "$where/data" "$logs/rabbitmq"
    say '[].' >"$where/enabled_plugins"
    (
        umask 077
        cat >"$where/rabbitmq.conf" <<EOF
# Written by deploy/services.sh at each start.
listeners.tcp.1 = 127.0.0.1:$rabbitmq_port
listeners.ssl.1 = 127.0.0.1:$((rabbitmq_port + 1))
ssl_options.cacertfile = $tls/ca.pem
ssl_options.certfile = $tls/server.pem
ssl_options.keyfile = $tls/server.key
# Who shows a certificate must show a good one.
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
# Made at the first start, instead of guest.
default_user = $user
default_pass = $(secret rabbitmq)
default_vhost = hub
default_user_tags.administrator = true
# Memory of a test machine: the log of quorum queues is held in memory until it is this long.
raft.wal_max_size_bytes = 67108864
log.console = false
EOF
    )
}

rabbitmq_start() {
    local where=$folder/rabbitmq
    rabbitmq_configure "$where"
    rabbitmq_environment
    launch epmd "$where" "${with_rabbitmq[@]}" epmd
    launch rabbitmq "$where" "${with_rabbitmq[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server
}

rabbitmq_answers() {
    ASK_PASSWORD=$(secret rabbitmq) python3 "$here/services/ask.py" rabbitmq "$rabbitmq_port" "$user" hub
}

rabbitmq_settle() {
    rabbitmq_ctl --quiet await_startup --timeout "$START_WITHIN"
}

rabbitmq_signal() {
    ask_to_end rabbitmq TERM
}

rabbitmq_stop() {
    stop rabbitmq 60
    rabbitmq_sweep
}

# The name server is of no use without its server, so it goes with what a killed one left behind.
rabbitmq_sweep() {
    ask_to_end epmd TERM
    stop epmd 10
    sweep "$folder/rabbitmq" beam.smp erl_child_setup inet_gethost epmd
}

rabbitmq_delete() {
    rm -rf "$folder/rabbitmq" "$logs/rabbitmq"
}
