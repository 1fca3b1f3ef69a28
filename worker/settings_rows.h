/* Every setting of chat-worker, one row each: the members of `struct settings`, the table that files, environment and
 * flags are checked against, docs/configuration.md and the JSON Schema all come from here.
 *
 * ROW(section, name, KIND, default, min, max, unit, choices, help)
 *   KIND     BOOL, INT, FLOAT, TEXT, SECRET, CHOICE_<enum>, LIST, PROPERTIES (see worker/settings.h)
 *   default  text in the form of a flag; "" is nothing given
 *   min, max of numbers; of texts and lists the least count of bytes or items
 *   choices  "a|b|c" in the order of the enum, or of what a list may hold */
#ifndef WORKER_SETTINGS_ROWS_H
#define WORKER_SETTINGS_ROWS_H

#define SETTINGS_TEXT_MAX 65536
#define SETTINGS_ITEMS_MAX 1024
#define SETTINGS_MS_MAX 86400000
#define SETTINGS_BYTES_MAX 17179869184

#define SETTINGS_KAFKA(ROW)                                                                                           \
	ROW(kafka, bootstrap_servers, TEXT, "", 0, SETTINGS_TEXT_MAX, "", "",                                         \
		"Brokers to begin with, \"host:port,host:port\". Required.")                                          \
	ROW(kafka, group_id, TEXT, "chat-worker", 1, 255, "", "", "Consumer group.")                                  \
	ROW(kafka, requests_topic, TEXT, "chat.requests", 1, 249, "", "", "Topic that requests are read from.")       \
	ROW(kafka, responses_topic, TEXT, "chat.responses", 1, 249, "", "", "Topic that replies are written to.")     \
	ROW(kafka, dead_letter_topic, TEXT, "chat.requests.dlq", 1, 249, "", "",                                      \
		"Topic that unreadable requests are copied to.")                                                      \
	ROW(kafka, dead_letter_on, LIST, "rejected", 0, 2, "", "rejected|fallback",                                   \
		"Outcomes whose requests are copied to the dead-letter topic.")                                       \
	ROW(kafka, reply_topics, LIST, "", 0, SETTINGS_ITEMS_MAX, "", "",                                             \
		"Topics that a request may name in its reply-to header.")                                             \
	ROW(kafka, delivery, CHOICE_settings_delivery, "exactly_once", 0, 0, "", "exactly_once|at_least_once",        \
		"exactly_once commits replies and progress in one transaction; at_least_once is for brokers without " \
		"transactions.")                                                                                      \
	ROW(kafka, transactional_id, TEXT, "", 0, 249, "", "",                                                        \
		"Must differ between processes. Empty: group_id, a dash, the host name.")                             \
	ROW(kafka, group_instance_id, TEXT, "", 0, 249, "", "",                                                       \
		"Static membership: the name of this member, kept over restarts. Empty: dynamic.")                    \
	ROW(kafka, session_timeout_ms, INT, "6000", 1000, 3600000, "ms", "",                                          \
		"How long a silent member keeps its partitions.")                                                     \
	ROW(kafka, heartbeat_interval_ms, INT, "1000", 100, 3600000, "ms", "",                                        \
		"Also how soon members learn of a rebalance.")                                                        \
	ROW(kafka, max_poll_interval_ms, INT, "30000", 1000, SETTINGS_MS_MAX, "ms", "",                               \
		"How long the worker may be stuck before its partitions move; the longest a rebalance takes.")        \
	ROW(kafka, start_from, CHOICE_settings_start_from, "earliest", 0, 0, "", "earliest|latest",                   \
		"Where to begin in partitions without a committed offset.")                                           \
	ROW(kafka, properties, PROPERTIES, "", 0, SETTINGS_ITEMS_MAX, "", "",                                         \
		"librdkafka properties for consumer and producer, each \"name=value\".")                              \
	ROW(kafka, consumer_properties, PROPERTIES, "", 0, SETTINGS_ITEMS_MAX, "", "",                                \
		"librdkafka properties for the consumer only, each \"name=value\".")                                  \
	ROW(kafka, producer_properties, PROPERTIES, "", 0, SETTINGS_ITEMS_MAX, "", "",                                \
		"librdkafka properties for the producer only, each \"name=value\".")

#define SETTINGS_OPENROUTER(ROW)                                                                                       \
	ROW(openrouter, base_url, TEXT, "https://openrouter.ai/api/v1", 1, 2048, "", "",                               \
		"Where the model service is; https, or http to this host itself.")                                     \
	ROW(openrouter, insecure_http, BOOL, "false", 0, 0, "", "",                                                    \
		"Allow plain http to other hosts: the key and all chats can be read on the way.")                      \
	ROW(openrouter, models, LIST, "", 0, 16, "", "", "Models, tried in this order. Required.")                     \
	ROW(openrouter, allowed_models, LIST, "", 0, SETTINGS_ITEMS_MAX, "", "",                                       \
		"Globs; models that requests may name. Empty: any.")                                                   \
	ROW(openrouter, temperature, FLOAT, "-1", -1, 2, "", "",                                                       \
		"Of requests that bring none; -1 leaves it to the model.")                                             \
	ROW(openrouter, max_tokens, INT, "600", 1, 10000000, "tokens", "", "Of requests that bring none.")             \
	ROW(openrouter, app_url, TEXT, "", 0, 2048, "", "", "Header HTTP-Referer. Empty: not sent.")                   \
	ROW(openrouter, app_title, TEXT, "chat-worker", 0, 256, "", "", "Header X-OpenRouter-Title. Empty: not sent.") \
	ROW(openrouter, provider, TEXT, "", 0, SETTINGS_TEXT_MAX, "", "",                                              \
		"Provider preferences of requests that bring none, a JSON object as text.")                            \
	ROW(openrouter, connect_timeout_ms, INT, "1500", 1, SETTINGS_MS_MAX, "ms", "", "Name, TCP and TLS together.")  \
	ROW(openrouter, first_token_timeout_ms, INT, "3500", 1, SETTINGS_MS_MAX, "ms", "",                             \
		"From sending an attempt to its first content, at most.")                                              \
	ROW(openrouter, stall_timeout_ms, INT, "2500", 1, SETTINGS_MS_MAX, "ms", "",                                   \
		"Between two pieces of content of one answer.")                                                        \
	ROW(openrouter, http_version, CHOICE_settings_http_version, "auto", 0, 0, "", "auto|1.1|2",                    \
		"auto takes what both sides can.")                                                                     \
	ROW(openrouter, streams_per_connection, INT, "16", 1, 1000, "streams", "",                                     \
		"HTTP/2 streams on one connection: how many chats share its fate.")                                    \
	ROW(openrouter, response_max_bytes, INT, "2097152", 1024, 1073741824, "bytes", "",                             \
		"An answer that is larger counts as invalid.")                                                         \
	ROW(openrouter, cache_ttl_s, INT, "0", 0, 86400, "s", "",                                                      \
		"Ask the service to cache answers for so long: a repeat after a crash is then free. 0: do not.")       \
	ROW(openrouter, ca_file, TEXT, "", 0, 4096, "", "", "Certificates to trust, PEM. Empty: those of the system.") \
	ROW(openrouter, proxy, SECRET, "", 0, 2048, "", "", "Proxy URL. Proxies named by the environment are ignored.")

#define SETTINGS_CHAT(ROW)                                                                                    \
	ROW(chat, deadline_ms, INT, "10000", 100, SETTINGS_MS_MAX, "ms", "",                                  \
		"From a request's timestamp to the commit of its reply, when the request names no deadline.") \
	ROW(chat, deadline_max_ms, INT, "0", 0, SETTINGS_MS_MAX, "ms", "",                                    \
		"The latest deadline that a request may name; 0: as deadline_ms.")                            \
	ROW(chat, publish_reserve_ms, INT, "300", 0, SETTINGS_MS_MAX, "ms", "",                               \
		"Kept free before the deadline for publishing the reply.")                                    \
	ROW(chat, system_prompt, TEXT, "", 0, 1048576, "", "",                                                \
		"Put first in chats without a system message. Empty: none.")                                  \
	ROW(chat, history_max_messages, INT, "100", 1, 100000, "messages", "",                                \
		"Messages of a chat that are sent on; the oldest turns are left out.")                        \
	ROW(chat, history_max_bytes, INT, "262144", 256, 1073741824, "bytes", "",                             \
		"Bytes of a chat that are sent on; the oldest turns are left out.")                           \
	ROW(chat, ordering, CHOICE_settings_ordering, "conversation", 0, 0, "", "conversation|none",          \
		"conversation: replies of one conversation keep the order of its requests.")

#define SETTINGS_FALLBACK(ROW)                                                                          \
	ROW(fallback, text, TEXT, "Sorry, I cannot answer right now. Please try again in a moment.", 1, \
		SETTINGS_TEXT_MAX, "", "", "What the user reads when there is no answer.")

#define SETTINGS_RETRY(ROW)                                                                                           \
	ROW(retry, max_attempts, INT, "3", 1, 20, "attempts", "", "Attempts for one chat, the first one included.")   \
	ROW(retry, first_content_share, FLOAT, "0.55", 0.05, 1, "", "",                                               \
		"An attempt's share of the time left until its first content.")                                       \
	ROW(retry, backoff_ms, INT, "100", 0, SETTINGS_MS_MAX, "ms", "", "Pause before the second attempt, at most.") \
	ROW(retry, backoff_max_ms, INT, "800", 0, SETTINGS_MS_MAX, "ms", "", "Pause before any attempt, at most.")    \
	ROW(retry, budget_ratio, FLOAT, "0.2", 0, 10, "", "", "Retries earned by each first attempt.")                \
	ROW(retry, budget_max, INT, "50", 0, 1000000, "retries", "", "Retries that can be saved up; full at the start.")

#define SETTINGS_BREAKER(ROW)                                                                                        \
	ROW(breaker, window_ms, INT, "10000", 100, SETTINGS_MS_MAX, "ms", "", "The past that a model is judged by.") \
	ROW(breaker, min_calls, INT, "20", 1, 1000000, "calls", "", "Calls in the window before a judgement.")       \
	ROW(breaker, failure_ratio, FLOAT, "0.5", 0.01, 1, "", "", "Failed share of calls that opens the breaker.")  \
	ROW(breaker, open_ms, INT, "1000", 1, SETTINGS_MS_MAX, "ms", "", "How long it stays open at first.")         \
	ROW(breaker, open_max_ms, INT, "3000", 1, SETTINGS_MS_MAX, "ms", "", "How long it stays open at most.")

#define SETTINGS_HEDGE(ROW)                                                                                       \
	ROW(hedge, enabled, BOOL, "false", 0, 0, "", "",                                                          \
		"Call a second time for a chat whose first content is late; what begins first is used.")          \
	ROW(hedge, max_share, FLOAT, "0.05", 0, 1, "", "", "Share of the chats that get a second call, at most.") \
	ROW(hedge, delay_ms, INT, "2000", 1, SETTINGS_MS_MAX, "ms", "",                                           \
		"Late is after this, until 20 attempts tell more of a model; then after what 95 of 100 keep to.") \
	ROW(hedge, delay_min_ms, INT, "500", 0, SETTINGS_MS_MAX, "ms", "", "Never sooner than this.")

#define SETTINGS_WORKER(ROW)                                                                                      \
	ROW(worker, threads, INT, "2", 1, 64, "threads", "", "Threads that talk to the model service.")           \
	ROW(worker, max_in_flight, INT, "1000", 1, 100000, "chats", "", "Attempts that run at once.")             \
	ROW(worker, max_waiting, INT, "20000", 1, 10000000, "chats", "",                                          \
		"Chats taken that have not been replied to; then reading stops.")                                 \
	ROW(worker, max_bytes, INT, "268435456", 1048576, SETTINGS_BYTES_MAX, "bytes", "",                        \
		"Memory of chats taken that have not been replied to; then reading stops.")                       \
	ROW(worker, park_ms, INT, "300000", 0, SETTINGS_MS_MAX, "ms", "",                                         \
		"After a partition is lost: how long its finished replies and running calls are kept, to be "     \
		"used when it comes back; 0: not at all.")                                                        \
	ROW(worker, park_bytes, INT, "67108864", 0, SETTINGS_BYTES_MAX, "bytes", "",                              \
		"Memory of what is kept, on top of max_bytes; the oldest goes first. 0: nothing is kept.")        \
	ROW(worker, stuck_ms, INT, "60000", 0, SETTINGS_MS_MAX, "ms", "",                                         \
		"A thread that does nothing for so long ends the process, with exit code 70; 0: never. Closing "  \
		"may take 10 s: not less than that.")                                                             \
	ROW(worker, drain_ms, INT, "25000", 0, SETTINGS_MS_MAX, "ms", "",                                         \
		"After SIGTERM: time to end. The last 5 s of it, or half of less than 10 s, are for publishing.") \
	ROW(worker, grace_ms, INT, "0", 0, SETTINGS_MS_MAX, "ms", "",                                             \
		"Time between SIGTERM and SIGKILL of whatever runs the worker, only to check drain_ms against; "  \
		"0: not known.")

#define SETTINGS_PUBLISH(ROW)                                                                                     \
	ROW(publish, interval_ms, INT, "20", 0, 60000, "ms", "", "Batches of replies begin no sooner than this.") \
	ROW(publish, max_replies, INT, "1000", 1, 100000, "replies", "", "Replies in one batch.")                 \
	ROW(publish, max_bytes, INT, "8388608", 65536, 1073741824, "bytes", "", "Bytes of replies in one batch.")

#define SETTINGS_ADMIN(ROW)                                      \
	ROW(admin, listen, TEXT, "0.0.0.0:9464", 0, 256, "", "", \
		"Address of /metrics, /healthz and /readyz, \"address:port\" or \"[address]:port\". Empty: none.")

#define SETTINGS_LOG(ROW)                                                              \
	ROW(log, level, CHOICE_log_level, "info", 0, 0, "", "error|warn|info|debug",   \
		"The least important that is told.")                                   \
	ROW(log, format, CHOICE_log_format, "auto", 0, 0, "", "auto|text|logfmt|json", \
		"auto: text on a terminal, json otherwise.")

#define SETTINGS_LIMITS(ROW)                                                                                          \
	ROW(limits, record_bytes, INT, "1048576", 1024, 104857600, "bytes", "", "Largest value of a request record.") \
	ROW(limits, depth, INT, "32", 4, 256, "levels", "", "Nesting of arrays and maps in a request.")               \
	ROW(limits, messages, INT, "512", 1, 100000, "messages", "", "Messages of one request.")                      \
	ROW(limits, id_bytes, INT, "128", 1, 4096, "bytes", "", "Length of request and conversation ids.")

#define SETTINGS_SECTIONS(SECTION)               \
	SECTION(kafka, SETTINGS_KAFKA)           \
	SECTION(openrouter, SETTINGS_OPENROUTER) \
	SECTION(chat, SETTINGS_CHAT)             \
	SECTION(fallback, SETTINGS_FALLBACK)     \
	SECTION(retry, SETTINGS_RETRY)           \
	SECTION(breaker, SETTINGS_BREAKER)       \
	SECTION(hedge, SETTINGS_HEDGE)           \
	SECTION(worker, SETTINGS_WORKER)         \
	SECTION(publish, SETTINGS_PUBLISH)       \
	SECTION(admin, SETTINGS_ADMIN)           \
	SECTION(log, SETTINGS_LOG)               \
	SECTION(limits, SETTINGS_LIMITS)

#endif
