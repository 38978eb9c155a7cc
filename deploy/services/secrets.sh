# shellcheck shell=bash disable=SC2154 # services.sh sets what all of them use
# What clients need to know: passwords, the test authority with its certificates, and the file `env` that tests read.
# Needs $folder, and the ports of each server.

user=hub

# random_hex BYTES
random_hex() {
    od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

# secret NAME: its password, made at the first use.
secret() {
    local file=$folder/secrets/$1
    if [ ! -s "$file" ]; then
        install -d -m 700 "$folder/secrets"
        (umask 077 && random_hex 16 >"$file.new" && mv "$file.new" "$file")
    fi
    cat "$file"
}

# write_env: all that tests need, readable by nobody else.
write_env() {
    local node brokers=""
    for node in $(seq "$kafka_nodes"); do
        brokers+=,127.0.0.1:$((kafka_port + node - 1))
    done
    (
        umask 077
        cat >"$folder/env.new" <<EOF
HUB_TEST_POSTGRES=postgres://$user:$(secret postgres)@127.0.0.1:$postgres_port/hub
HUB_TEST_RABBITMQ=amqp://$user:$(secret rabbitmq)@127.0.0.1:$rabbitmq_port/hub
HUB_TEST_KAFKA=${brokers#,}
EOF
    )
    mv "$folder/env.new" "$folder/env"
}
