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

kafka_ports() {
    local number
    number=$(kafka_number "$1")
    printf '%s\n' $((kafka_port + number - 1)) $((kafka_port + number + 2))
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

kafka_configure() {
    local part=$1 where=$2 number replicas=1 enough=1
    number=$(kafka_number "$part")
    [ "$kafka_nodes" -eq 1 ] || { replicas=3 && enough=2; }
    cat >"$where/server.properties" <<EOF
# Written by deploy/services.sh at each start.
process.roles=broker,controller
node.id=$number
controller.quorum.bootstrap.servers=$(controllers quorum)
listeners=PLAINTEXT://127.0.0.1:$((kafka_port + number - 1)),CONTROLLER://127.0.0.1:$((kafka_port + number + 2))
advertised.listeners=PLAINTEXT://127.0.0.1:$((kafka_port + number - 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
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
# A broker that was killed may come back this soon (ms); the default is 9 s.
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=500
EOF
}

# Sets `with_java`: what goes before the class and its arguments.
java_environment() {
    local heap=$1 level=$2
    with_java=(java "-Xmx$heap" -XX:+ExitOnOutOfMemoryError "-Dhub.log=$level"
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

kafka_stop() {
    stop "$1" TERM 30
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
