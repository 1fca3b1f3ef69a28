/* A planted bug: the publisher believes that every transactional request has been answered. Linked in place of
 * kafka_watch_unanswered(), so that the product has no switch for it. */
#include "worker/edge/kafka_watch.h"

long long __wrap_kafka_watch_unanswered(const struct kafka_watch *watch);

long long __wrap_kafka_watch_unanswered(const struct kafka_watch *watch)
{
	(void)watch;
	return 0;
}
