# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # scripts/kafka and its parts share their variables
# The content of .cache/kafka-VERSION: the jars, a formatted storage folder, and class archives that
# halve the start.

version_of() { sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$parts/$1.xml"; }
home_of() { echo "$cache/kafka-$(version_of "$1")"; }

# fetch [KIND]...: makes everything that is missing. Two processes may do so at once.
fetch() {
    find_java
    [ $# -gt 0 ] || set -- kraft zookeeper
    local wanted home lock
    for wanted; do
        [ -f "$parts/$wanted.xml" ] || die "fetch $wanted: use kraft or zookeeper" 2
        home=$(home_of "$wanted")
        fetched "$wanted" "$home" && continue
        mkdir -p "$cache"
        exec {lock}>>"$home.lock"
        flock "$lock"
        fetched "$wanted" "$home" || fetch_one "$wanted" "$home"
        exec {lock}>&-
    done
}

# A class archive fits one java only.
java_stamp() { stat -c '%n %s %Y' "$java"; }
has_jars() { cmp -s "$parts/$1.xml" "$2/jars/pom.xml"; }
fetched() { has_jars "$1" "$2" && [ -e "$2/java" ] && [ "$(<"$2/java")" = "$(java_stamp)" ]; }

fetch_one() {
    local kind=$1 home=$2
    mkdir -p "$home"
    rm -f "$home/java"
    has_jars "$kind" "$home" || get_jars "$kind" "$home"
    if [ "$kind" = kraft ] && [ ! -e "$home/format/meta.properties" ]; then format "$home"; fi
    make_archives "$kind" "$home"
    java_stamp >"$home/java.part"
    mv "$home/java.part" "$home/java"
}

get_jars() {
    local kind=$1 home=$2 part=$2/jars.part log=$2/maven.log try
    say "getting the jars of Kafka $(version_of "$kind")"
    command -v mvn >/dev/null || die "no Maven here: scripts/setup kafka installs it"
    for try in 1 2; do
        rm -rf "$part"
        mkdir -p "$part"
        # -U repeats downloads that broke off earlier.
        if mvn --batch-mode --quiet --no-transfer-progress -U -Dstyle.color=never \
            -f "$parts/$kind.xml" -DincludeScope=runtime -DoutputDirectory="$part" \
            org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies \
            </dev/null >"$log" 2>&1 &&
            [ -s "$part/kafka_2.13-$(version_of "$kind").jar" ]; then
            cp "$parts/$kind.xml" "$part/pom.xml"
            # The folder gets its name last, so a folder of that name is complete.
            rm -rf "$home/jars" "$home/format" "$home"/*.jsa
            mv "$part" "$home/jars"
            return
        fi
        [ $try -eq 2 ] || say "that failed; once more"
    done
    tail -n 20 "$log" >&2
    rm -rf "$part"
    die "cannot fetch Kafka's jars: check the network and Maven's settings (~/.m2/settings.xml)"
}

# Kafka's own tool formats a storage folder once. Copies of it differ only in the ids of cluster and
# folder, which config.sh replaces. The users of SASL/SCRAM are in it; without a listener for
# them they have no effect.
format() {
    local home=$1 part=$1/format.part mechanism users=()
    rm -rf "$part"
    for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
        users+=(--add-scram "$mechanism=[name=$sasl_user,password=$sasl_password]")
    done
    (
        dir=$home/format.tmp settings=("log.dirs=$part")
        declare -A ports=([broker]=1 [controller]=2)
        mkdir -p "$dir"
        broker_properties >"$dir/broker.properties"
        if ! "$java" "${common_flags[@]}" -cp "$(classpath_of "$home")" \
            kafka.tools.StorageTool format --cluster-id "$(random_id)" \
            --config "$dir/broker.properties" "${users[@]}" >"$dir/log" 2>&1; then
            cat "$dir/log" >&2
            die "Kafka could not format its storage"
        fi
        rm -rf "$dir"
    )
    mv "$part" "$home/format"
}

# Runs a broker once so that its JVM archives the classes it loaded (class data sharing). Without
# the archives brokers start slower.
make_archives() {
    local kind=$1 home=$2 tmp flags=(--archive --sasl-ssl)
    [ "$kind" = kraft ] || flags+=(--zookeeper)
    rm -f "$home"/*.jsa
    tmp=$(mktemp -d)
    if ! "$here/kafka" run "$tmp/broker" "${flags[@]}" >"$home/archive.log" 2>&1; then
        say "no class archive could be made (see $home/archive.log): brokers will start slower"
    fi
    rm -rf "$tmp"
    local part
    for part in "$home"/*.jsa.part; do
        if [ -s "$part" ]; then mv "$part" "${part%.part}"; fi
    done
}
