#!/bin/bash
# Turns KAFKA_* variables into a configuration file, formats the data folder once, and becomes the broker.
set -euo pipefail

export KAFKA_NODE_ID=${KAFKA_NODE_ID:-1}
export KAFKA_PROCESS_ROLES=${KAFKA_PROCESS_ROLES:-broker,controller}
export KAFKA_LISTENERS=${KAFKA_LISTENERS:-PLAINTEXT://:9092,CONTROLLER://:9093}
export KAFKA_CONTROLLER_LISTENER_NAMES=${KAFKA_CONTROLLER_LISTENER_NAMES:-CONTROLLER}
export KAFKA_CONTROLLER_QUORUM_VOTERS=${KAFKA_CONTROLLER_QUORUM_VOTERS:-1@localhost:9093}
export KAFKA_LOG_DIRS=${KAFKA_LOG_DIRS:-/var/lib/kafka/data}

configuration=/tmp/server.properties
# KAFKA_A_B is a.b; two underscores stand for one, three for a dash. Names without a dot are for Java.
env | sed -n 's/^KAFKA_//p' | while IFS='=' read -r name value; do
	case $name in
	HEAP_OPTS | OPTS | JVM_PERFORMANCE_OPTS | LOG4J_*) continue ;;
	esac
	key=$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]' | sed 's/___/-/g; s/__/~/g; s/_/./g; s/~/_/g')
	printf '%s=%s\n' "$key" "$value"
done >"$configuration"

java=(java -XX:+UseSerialGC -cp '/opt/kafka/libs/*')
if [ ! -e "$KAFKA_LOG_DIRS/meta.properties" ]; then
	"${java[@]}" kafka.tools.StorageTool format \
		-t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c "$configuration"
fi
# shellcheck disable=SC2086  # KAFKA_HEAP_OPTS is a list of options
exec "${java[@]}" ${KAFKA_HEAP_OPTS:--Xmx512m} kafka.Kafka "$configuration"
