# shellcheck shell=bash disable=SC2154 # services.sh sets what all of them use
# Apache Kafka (KRaft) from its Maven artifacts: one node, or three that replicate. No ZooKeeper, no scripts of its own.

# kafka_number PART: 1 for `kafka`, N for `kafka-N`.
kafka_number() {
    case $1 in kafka-*) say "${1#kafka-}" ;; *) say 1 ;; esac
}

# kafka_folder PART: one node and a cluster have data apart.
kafka_folder() {
    case $1 in
    kafka) say "$folder/kafka" ;;
    *) say "$folder/kafka-cluster/$(kafka_number "$1")" ;;
    esac
}

# Of each node: for clients without protection, for controllers, for TLS, for TLS with a password.
kafka_ports() {
    local number
    number=$(kafka_number "$1")
    printf '%s\n' $((kafka_port + number - 1)) $((kafka_port + number + 2)) \
        $((kafka_port + number + 5)) $((kafka_port + number + 8))
}

# kafka_libraries: the server and its tools, fetched when the pom is not the one that they came from.
kafka_libraries() {
    local wanted
    wanted=$(sha256sum <"$here/kafka/pom.xml")
    [ "$(cat "$libraries/made-from" 2>/dev/null)" != "$wanted" ] || return 0
    say "kafka: fetching it with Maven (about 55 MB, once)" >&2
    rm -rf "$libraries"
    mkdir -p "$libraries"
    mvn --quiet --batch-mode -Dstyle.color=never --file "$here/kafka/pom.xml" \
        dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libraries" >"$logs/maven.log" 2>&1 ||
        fail "Maven could not fetch Kafka; $logs/maven.log says why: $(grep -m 3 ERROR "$logs/maven.log")"
    printf '%s' "$wanted" >"$libraries/made-from"
}

# kafka_uuid: 128 random bits as Kafka writes them.
kafka_uuid() {
    head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c1-22
}

# kept FILE COMMAND...: what the command said when it was first asked.
kept() {
    local file=$1
    shift
    [ -s "$file" ] || "$@" >"$file"
    cat "$file"
}

# controllers LIST: `quorum` as servers find each other, `initial` with the directory of each, as a cluster is formatted.
controllers() {
    local node list="" at
    for node in $(seq "$kafka_nodes"); do
        at=127.0.0.1:$((kafka_port + node + 2))
        case $1 in
        quorum) list+=,$at ;;
        initial) list+=,$node@$at:$(kept "$folder/kafka-cluster/$node.directory" kafka_uuid) ;;
        esac
    done
    say "${list#,}"
}

# kafka_listeners NUMBER: for clients.
kafka_listeners() {
    printf 'PLAINTEXT://127.0.0.1:%s,SSL://127.0.0.1:%s,SASL_SSL://127.0.0.1:%s' \
        $((kafka_port + $1 - 1)) $((kafka_port + $1 + 5)) $((kafka_port + $1 + 8))
}

kafka_configure() {
    local part=$1 where=$2 number replicas=1 enough=1 modules=org.apache.kafka.common.security
    number=$(kafka_number "$part")
    [ "$kafka_nodes" -eq 1 ] || { replicas=3 && enough=2; }
    (
        umask 077
        cat >"$where/server.properties" <<EOF
# Written by deploy/services.sh at each start.
process.roles=broker,controller
node.id=$number
controller.quorum.bootstrap.servers=$(controllers quorum)
listeners=$(kafka_listeners "$number"),CONTROLLER://127.0.0.1:$((kafka_port + number + 2))
advertised.listeners=$(kafka_listeners "$number")
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=$tls/server.chain.pem
ssl.truststore.type=PEM
ssl.truststore.location=$tls/ca.pem
# Who shows a certificate must show a good one.
listener.name.ssl.ssl.client.auth=requested
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required user_$user="$(secret kafka)";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$modules.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$modules.scram.ScramLoginModule required;
log.dirs=$where/data
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$enough
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$enough
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$enough
group.initial.rebalance.delay.ms=0
# On a busy machine the other nodes of a cluster take longer to come than the minute that is the default.
initial.broker.registration.timeout.ms=$((START_WITHIN * 1000))
EOF
    )
}

# Sets `with_java`: what goes before the class and its arguments.
java_environment() {
    local heap=$1 level=$2
    # A test machine has few processors: the compiler and the collector that need the least of them.
    with_java=(java "-Xmx$heap" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError "-Dhub.log=$level"
        "-Dlog4j2.configurationFile=$here/kafka/log4j2.properties" -cp "$libraries/*")
}

# Made whole or not at all.
kafka_create() {
    local part=$1 where=$2 quorum=(--standalone)
    [ ! -e "$where/formatted" ] || return 0
    rm -rf "$where/data"
    [ "$part" = kafka ] || quorum=(--initial-controllers "$(controllers initial)")
    java_environment 128m warn
    "${with_java[@]}" kafka.tools.StorageTool format --config "$where/server.properties" \
        --cluster-id "$(kept "$folder/${part%-*}.id" kafka_uuid)" \
        --add-scram "SCRAM-SHA-256=[name=$user,password=$(secret kafka)]" \
        --add-scram "SCRAM-SHA-512=[name=$user,password=$(secret kafka)]" \
        "${quorum[@]}" >"$logs/$part.format.log" 2>&1 ||
        fail "$part could not be formatted: $(tail -n 3 "$logs/$part.format.log")"
    touch "$where/formatted"
}

kafka_start() {
    local part=$1 where
    where=$(kafka_folder "$part")
    kafka_libraries
    install -d -m 700 "$where"
    kafka_configure "$part" "$where"
    kafka_create "$part" "$where"
    java_environment 512m warn
    launch "$part" "$where" "${with_java[@]}" kafka.Kafka "$where/server.properties"
}

kafka_answers() {
    local number
    number=$(kafka_number "$1")
    python3 "$here/services/ask.py" kafka $((kafka_port + number - 1)) "$number"
}

kafka_settle() {
    :
}

kafka_signal() {
    ask_to_end "$1" TERM
}

kafka_stop() {
    stop "$1" 30
    kafka_sweep "$1"
}

kafka_sweep() {
    sweep "$(kafka_folder "$1")" java
}

kafka_delete() {
    case $1 in
    kafka) rm -rf "$folder/kafka" "$folder/kafka.id" ;;
    *) rm -rf "$(kafka_folder "$1")" ;;
    esac
}

# kafka_tool TOOL ARGUMENT...
kafka_tool() {
    local tool=$1
    shift
    kafka_libraries
    java_environment 256m error
    "${with_java[@]}" "org.apache.kafka.tools.$tool" --bootstrap-server "127.0.0.1:$kafka_port" "$@"
}
