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

# certificate NAME SUBJECT EXTENSION...: a key, and a certificate by the test authority for ten years.
certificate() {
    local name=$1 subject=$2
    shift 2
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.key"
    openssl req -new -key "$name.key" -subj "/CN=$subject" -out "$name.csr"
    printf '%s\n' basicConstraints=critical,CA:FALSE "$@" >"$name.ext"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -sha256 \
        -extfile "$name.ext" -out "$name.pem"
    rm "$name.csr" "$name.ext"
}

authority() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key
    openssl req -x509 -new -key ca.key -subj "/CN=Test authority of deploy\/services.sh" -days 3650 -sha256 \
        -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
    certificate server localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1' extendedKeyUsage=serverAuth
    certificate client "$user" extendedKeyUsage=clientAuth
    cat server.pem server.key >server.chain.pem # as Kafka wants it
}

# make_tls: the authority, and the certificates of the servers and of a client; made whole or not at all.
make_tls() {
    [ ! -e "$tls/ca.pem" ] || return 0
    rm -rf "$tls.new"
    install -d -m 700 "$tls.new"
    (umask 077 && cd "$tls.new" && authority) >"$logs/tls.log" 2>&1 ||
        fail "openssl could not make certificates: $(tail -n 3 "$logs/tls.log")"
    mv "$tls.new" "$tls"
}

# brokers OFFSET: where the nodes of Kafka are, from this port of the first one on.
brokers() {
    local node list=""
    for node in $(seq 0 $((kafka_nodes - 1))); do
        list+=,127.0.0.1:$((kafka_port + $1 + node))
    done
    say "${list#,}"
}

# write_env: all that tests need, readable by nobody else; a shell can read it too, so no value has a character of its
# grammar. HUB_TEST_CA is the authority of all that ends with _TLS or _SASL.
write_env() {
    local postgres rabbitmq
    postgres=$user:$(secret postgres)@127.0.0.1:$postgres_port
    rabbitmq=$user:$(secret rabbitmq)@127.0.0.1
    (
        umask 077
        cat >"$folder/env.new" <<EOF
HUB_TEST_POSTGRES=postgres://$postgres/hub
HUB_TEST_POSTGRES_TLS=postgres://$postgres/tls_only?sslmode=verify-full
HUB_TEST_RABBITMQ=amqp://$rabbitmq:$rabbitmq_port/hub
HUB_TEST_RABBITMQ_TLS=amqps://$rabbitmq:$((rabbitmq_port + 1))/hub
HUB_TEST_KAFKA=$(brokers 0)
HUB_TEST_KAFKA_TLS=$(brokers 6)
HUB_TEST_KAFKA_SASL=$(brokers 9)
HUB_TEST_KAFKA_SASL_USER=$user
HUB_TEST_KAFKA_SASL_PASSWORD=$(secret kafka)
HUB_TEST_CA=$tls/ca.pem
HUB_TEST_CLIENT_CERTIFICATE=$tls/client.pem
HUB_TEST_CLIENT_KEY=$tls/client.key
EOF
    )
    mv "$folder/env.new" "$folder/env"
}

# write_compose_env: what deploy/compose.yaml takes from here.
write_compose_env() {
    (
        umask 077
        cat >"$folder/compose.env.new" <<EOF
HUB_SERVICES_TLS=$tls
HUB_POSTGRES_PORT=$postgres_port
HUB_POSTGRES_PASSWORD=$(secret postgres)
HUB_RABBITMQ_PORT=$rabbitmq_port
HUB_RABBITMQ_TLS_PORT=$((rabbitmq_port + 1))
HUB_RABBITMQ_PASSWORD=$(secret rabbitmq)
HUB_KAFKA_PORT=$kafka_port
HUB_KAFKA_TLS_PORT=$((kafka_port + 6))
HUB_KAFKA_SASL_PORT=$((kafka_port + 9))
HUB_KAFKA_PASSWORD=$(secret kafka)
EOF
    )
    mv "$folder/compose.env.new" "$folder/compose.env"
}
