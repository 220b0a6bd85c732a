# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # scripts/kafka and its parts share their variables
# Ports, settings and certificates of scripts/kafka.

sasl_user=mattebox
sasl_password=mattebox-secret
zookeeper_session_s=3

# Few threads, a short start, nothing in /tmp. For the minutes of a test the first compiler alone is
# faster.
common_flags=(
    -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Xlog:disable -Xlog:all=error:stderr
    -Djava.awt.headless=true "-Dlog4j2.configurationFile=$parts/log4j2.yaml"
    "-Dlog4j.configuration=file:$parts/log4j.properties"
)

# A class archive needs the same class path each time, so the order is fixed.
classpath_of() { (cd "$1/jars" && printf "$1/jars/%s:" *.jar); }
random_id() {
    local id=-
    # Kafka's own ids never begin with a minus.
    while [ "${id:0:1}" = - ]; do id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_'); done
    echo "${id:0:22}"
}

# Everything in DIR and in the shell's variables that a start needs.
prepare() {
    local home file
    home=$(home_of "$kind")
    classpath=$(classpath_of "$home")
    archive_flags=()
    if [ "$archive" = yes ]; then
        archive_flags=("-XX:ArchiveClassesAtExit=$home/broker.jsa.part")
        stop_limit_s=90
        find_java
    elif [ -e "$home/broker.jsa" ]; then
        archive_flags=("-XX:SharedArchiveFile=$home/broker.jsa")
    fi
    if [ "$kind" = kraft ] && [ ! -e "$dir/data/meta.properties" ]; then
        rm -rf "$dir/data" "$dir/data.part"
        cp -r "$home/format" "$dir/data.part"
        sed -i -e "s/^cluster.id=.*/cluster.id=$(random_id)/" \
            -e "s/^directory.id=.*/directory.id=$(random_id)/" "$dir/data.part/meta.properties"
        mv "$dir/data.part" "$dir/data"
    fi
    if [ "$sasl_ssl" = yes ] && [ ! -e "$dir/tls/broker.pem" ]; then
        make_certificates "$dir/tls"
    fi
    read_ports
}

declare -A ports=()
read_ports() {
    local name number
    [ -e "$dir/ports" ] || return 0
    while IFS='=' read -r name number; do ports[$name]=$number; done <"$dir/ports"
}

# Writes names and numbers of the ports to ports and to DIR/ports. picked: a port was chosen now, so
# another process may take it before the broker does.
choose_ports() {
    local wanted=(broker) name
    if [ "$kind" = kraft ]; then wanted+=(controller); else wanted+=(zookeeper); fi
    if [ "$sasl_ssl" = yes ]; then wanted+=(sasl_ssl mutual_tls); fi
    picked=no
    if [ -e "$dir/ports" ]; then read_ports; else ports=(); fi
    if [ -n "$port" ]; then ports[broker]=$port; fi
    for name in "${wanted[@]}"; do
        if [ -z "${ports[$name]:-}" ]; then
            pick_port
            ports[$name]=$free_port picked=yes
        fi
    done
    for name in "${!ports[@]}"; do echo "$name=${ports[$name]}"; done >"$dir/ports.part"
    mv "$dir/ports.part" "$dir/ports"
}

# A free port, in free_port. It is outside of the kernel's range for outgoing connections, so that
# it stays free while a broker is down.
pick_port() {
    local low=20000 high=32767 from to local_address used=' ' file
    read -r from to </proc/sys/net/ipv4/ip_local_port_range
    if [ "$from" -ge 22000 ]; then
        high=$((from - 1))
    elif [ "$to" -lt 64000 ]; then
        low=$((to + 1)) high=65535
    else
        low=10000 high=$((from - 1))
    fi
    for file in /proc/net/tcp /proc/net/tcp6; do
        [ -r $file ] || continue
        while read -r _ local_address _; do
            [[ $local_address = *:* ]] && used+="$((16#${local_address##*:})) "
        done < <(tail -n +2 $file)
    done
    used+="${ports[*]} "
    while :; do
        free_port=$((low + (RANDOM << 15 | RANDOM) % (high - low + 1)))
        [[ $used = *" $free_port "* ]] || return 0
    done
}

zookeeper_properties() {
    cat <<P
dataDir=$dir/zookeeper
clientPort=${ports[zookeeper]}
clientPortAddress=127.0.0.1
tickTime=500
maxClientCnxns=60
admin.enableServer=false
4lw.commands.whitelist=ruok
P
}

# The settings of the broker. Kafka's defaults hold for the others; sizes of records and topics are
# not touched.
broker_properties() {
    local listeners="PLAINTEXT://127.0.0.1:${ports[broker]}" protocols=PLAINTEXT:PLAINTEXT
    if [ "$sasl_ssl" = yes ]; then
        listeners+=",SASL_SSL://127.0.0.1:${ports[sasl_ssl]}"
        listeners+=",MUTUAL_TLS://127.0.0.1:${ports[mutual_tls]}"
        protocols+=,SASL_SSL:SASL_SSL,MUTUAL_TLS:SSL
    fi
    echo "advertised.listeners=$listeners"
    if [ "$kind" = kraft ]; then
        # A killed broker can start again only after its session.
        cat <<P
listeners=$listeners,CONTROLLER://127.0.0.1:${ports[controller]}
listener.security.protocol.map=$protocols,CONTROLLER:PLAINTEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports[controller]}
controller.listener.names=CONTROLLER
controller.quorum.election.timeout.ms=100
controller.quorum.election.backoff.max.ms=100
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
P
    else
        cat <<P
listeners=$listeners
listener.security.protocol.map=$protocols
broker.id=1
zookeeper.connect=127.0.0.1:${ports[zookeeper]}
zookeeper.session.timeout.ms=${zookeeper_session_s}000
P
    fi
    cat <<P
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
num.partitions=$partitions
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
background.threads=2
log.cleaner.dedupe.buffer.size=8388608
P
    if [ "$sasl_ssl" = yes ]; then
        local login=org.apache.kafka.common.security.plain.PlainLoginModule
        local plain="$login required user_$sasl_user=\"$sasl_password\";"
        local scram='org.apache.kafka.common.security.scram.ScramLoginModule required;'
        cat <<P
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$plain
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$scram
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$scram
listener.name.mutual_tls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/tls/ca.pem
P
    fi
    # The last of two lines with one key counts.
    local setting
    for setting in ${settings[@]+"${settings[@]}"}; do echo "$setting"; done
}

ready_line() {
    local line="ready 127.0.0.1:${ports[broker]}"
    if [ "$kind" = zookeeper ]; then line+=" zookeeper=127.0.0.1:${ports[zookeeper]}"; fi
    if [ "$sasl_ssl" = yes ]; then
        line+=" sasl_ssl=127.0.0.1:${ports[sasl_ssl]} mutual_tls=127.0.0.1:${ports[mutual_tls]}"
        line+=" ca=$dir/tls/ca.pem client_cert=$dir/tls/client.pem client_key=$dir/tls/client.key"
    fi
    echo "$line"
}

# A certificate authority, and one certificate each for the broker (127.0.0.1, localhost) and for a
# client.
make_certificates() (
    umask 077
    rm -rf "$1" "$1.part"
    mkdir -p "$1.part"
    cd "$1.part" || exit 1
    command -v openssl >/dev/null || die "no openssl here: scripts/setup kafka installs it"
    cat >openssl.cnf <<'P'
[req]
distinguished_name=name
[name]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
subjectKeyIdentifier=hash
[broker]
subjectAltName=IP:127.0.0.1,DNS:localhost
extendedKeyUsage=serverAuth
[client]
extendedKeyUsage=clientAuth
P
    key=(-config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    {
        openssl req -x509 "${key[@]}" -extensions ca -days 3650 \
            -subj '/CN=mattebox test authority' -keyout ca.key -out ca.pem
        for name in broker client; do
            openssl req -new "${key[@]}" -subj "/CN=mattebox test $name" \
                -keyout $name.key -out $name.csr
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
                -extfile openssl.cnf -extensions $name -out $name.pem
        done
    } >log 2>&1 || { cat log >&2; die "openssl could not make the certificates"; }
    # Kafka wants key and certificate in one file.
    cat broker.key >>broker.pem
    rm -f broker.key ./*.csr
    mv "$1.part" "$1"
)
