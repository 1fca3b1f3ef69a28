#!/bin/bash
# Every kafka-NAME.sh is a link to this: NAME says which of Kafka's tools to run.
set -euo pipefail

case $(basename "$0") in
kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
kafka-broker-api-versions.sh) class=org.apache.kafka.tools.BrokerApiVersionsCommand ;;
kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
kafka-console-producer.sh) class=org.apache.kafka.tools.ConsoleProducer ;;
kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
kafka-get-offsets.sh) class=org.apache.kafka.tools.GetOffsetShell ;;
*)
	echo "$0: no such tool" >&2
	exit 2
	;;
esac
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' "$class" "$@"
