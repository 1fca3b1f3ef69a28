/* A caller of chat-worker: sends request records, and reads everything that arrives on some topics from now on.
 *
 * Records are produced with Java's partitioner (murmur2_random), as everything that produces chats has to. Reading
 * starts at the ends that the partitions had when the client was opened, of all partitions, without a group, and sees
 * only what is committed.
 *
 * Owner and thread: one. Blocking is bounded by the times given. */
#ifndef REPLAY_KAFKA_CLIENT_H
#define REPLAY_KAFKA_CLIENT_H

#include "schemas/record.h"

struct kafka_client;

enum { KAFKA_CLIENT_TOPICS_MAX = 4, KAFKA_CLIENT_PROBLEM_MAX = 512 };

struct kafka_client_options {
	const char *brokers;
	const char *const *properties; /* "name=value", any of librdkafka's */
	size_t property_count;
	const char *request_topic;
	const char *reply_topics[KAFKA_CLIENT_TOPICS_MAX];
	size_t reply_topic_count;
	int64_t connect_ms; /* bound of kafka_client_open() */
};

/* Connects and finds the ends. On failure `out_problem` has a sentence for people.
 * STATUS_INVALID: a property that librdkafka refuses. STATUS_CLOSED: no broker answers. STATUS_NOT_FOUND: a topic is
 * not there. STATUS_NO_MEMORY. Close with kafka_client_close(). */
NODISCARD enum status kafka_client_open(const struct kafka_client_options *options,
	char out_problem[static KAFKA_CLIENT_PROBLEM_MAX], struct kafka_client **out_client);

/* Accepts NULL. */
void kafka_client_close(struct kafka_client *client);

/* Hands one record over; everything is copied. STATUS_IO: librdkafka's queue refuses it. */
NODISCARD enum status kafka_client_send(struct kafka_client *client, const struct outgoing *record);

/* The next record of any reply topic, within `wait_ms`. `*out_topic` is its index in the options. The caller frees
 * the record. STATUS_EMPTY: none came. STATUS_IO: something that was sent could not be delivered, see
 * kafka_client_problem(). */
NODISCARD enum status kafka_client_receive(
	struct kafka_client *client, int wait_ms, struct record **out_record, size_t *out_topic);

/* Why STATUS_IO; borrowed, "" when nothing happened. */
const char *kafka_client_problem(const struct kafka_client *client);

#endif
