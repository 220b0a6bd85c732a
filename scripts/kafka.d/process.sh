# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # scripts/kafka and its parts share their variables
# Processes of scripts/kafka: starting JVMs that cannot outlive it, waiting for them, stopping them.

start_limit_s=120
stop_limit_s=10

say() { echo "kafka: $*" >&2; }
die() { say "$1"; exit "${2:-1}"; }
# Not kill -0: it also finds zombies, until the shell has waited for them, which it may not do while
# it handles a signal.
alive() {
    local state
    { read -r state <"/proc/$1/stat"; } 2>/dev/null || return 1
    [[ ${state##*) } != [ZX]* ]]
}

# A short sleep without a process: nothing is ever written to this pipe.
exec {silence}<> <(:)
nap() { read -rt 0.03 -u "$silence" || true; }

# The java to use, in java.
find_java() {
    java=${JAVA_HOME:+$JAVA_HOME/bin/java}
    java=${java:-$(command -v java)} || die "no java here: scripts/setup kafka installs it"
    java=$(readlink -f "$java")
    [ -x "$java" ] || die "$java cannot be run"
}

# jvm LOG ARGUMENT...: starts java; its process is in started. The kernel kills it when this shell
# dies; if the shell died before that was arranged, java does not start.
jvm() {
    local log=$1
    shift
    : >"$log"
    # shellcheck disable=SC2016 # expanded by the inner shell
    setpriv --pdeathsig KILL sh -c '[ "$PPID" -eq "$0" ] && exec "$@"' $$ "$java" "$@" >>"$log" \
        2>&1 &
    started=$!
}

# await TEST PROCESS: waits until the test is true; false if the process ends, or after the limit.
await() {
    local deadline=$((SECONDS + start_limit_s))
    until "$1"; do
        alive "$2" || return 1
        [ -z "$watcher" ] || alive "$watcher" || exit 0
        [ $SECONDS -lt $deadline ] || return 1
        nap
    done
}

# Whether the broker has started, by its log, which is open as log. With ZooKeeper the line that
# says so is too early: topics of an earlier run are usable after the controller has sent them to
# the broker.
says_started() {
    local line
    while IFS= read -r line <&"$log"; do
        line=$held$line held=''
        case $line in
            *'Kafka Server started'*) has_server=yes has_controller=yes ;;
            *'] started (kafka.server.KafkaServer)'*) has_server=yes ;;
            *'Ready to serve as the new controller'*) has_controller=yes ;;
            *'Sending UpdateMetadata request'*' for 0 partitions'*) ;;
            *'Sending UpdateMetadata request'*) updates=$((updates + 1)) ;;
            *'in response to UpdateMetadata request'*) updates=$((updates - 1)) ;;
        esac
    done
    held+=$line
    [ "$has_server" = yes ] && [ "$has_controller" = yes ] && [ "$updates" -le 0 ]
}

zookeeper_answers() {
    local answer='' socket
    { exec {socket}<>"/dev/tcp/127.0.0.1/${ports[zookeeper]}"; } 2>/dev/null || return 1
    printf ruok >&"$socket"
    read -rt 2 -N 4 -u "$socket" answer || true
    exec {socket}<&-
    [ "$answer" = imok ]
}

# stop_process PROCESS SECONDS: sends SIGTERM, and SIGKILL after that time. True if SIGTERM ended
# it.
stop_process() {
    alive "${1:-none}" || return 1
    kill -TERM "$1" 2>/dev/null || true
    kill -CONT "$1" 2>/dev/null || true
    local deadline=$((SECONDS + $2 + 1))
    while alive "$1"; do
        if [ $SECONDS -ge $deadline ]; then
            kill -KILL "$1" 2>/dev/null || true
            wait "$1" 2>/dev/null || true
            return 1
        fi
        nap
    done
    wait "$1" 2>/dev/null || true
}
