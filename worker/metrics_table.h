/* Every metric of chat-worker, one row each: the enum, the registry's descriptors, docs/metrics.md, and what the
 * dashboard and the alerts are tested against all come from here.
 *
 * Durations are given to the registry in milliseconds (RATIO ones in thousandths, money in nano-dollars) and scaled
 * when they are written, see common/metrics.h. The `process_*` metrics are made by common/process_metrics.h. */
#ifndef WORKER_METRICS_TABLE_H
#define WORKER_METRICS_TABLE_H

#include "common/metrics.h"

#define METRICS_GEN_AI "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openrouter\""
#define METRICS_KAFKA "messaging_system=\"kafka\""
#define METRICS_LABELS(...) \
	{                   \
		__VA_ARGS__ \
	}
#define METRICS_NO_LABELS \
	{                 \
		NULL      \
	}
#define METRICS_NO_BUCKETS 0, 0, 0
/* Bounds are first × factor^i, in milliseconds or tokens. */
#define METRICS_BUCKETS_CALL 10, 2, 14    /* 0.01 … 81.92 s */
#define METRICS_BUCKETS_PROCESS 10, 2, 16 /* 0.01 … 327.68 s */
#define METRICS_BUCKETS_WAIT 1, 2, 15     /* 0.001 … 16.384 s */
#define METRICS_BUCKETS_TOKENS 1, 4, 14   /* 1 … 67108864 */

/* A model is one of at most 32, then `_OTHER`; the series of a model are its errors. */
#define METRICS_MODELS 32, 512
#define METRICS_WORDS 48, 64
#define METRICS_PARTITIONS 1024, 2048
#define METRICS_SINGLE 0, 0

/* member, name, type, unit, scale, constant labels, labels, buckets, bounds (values of a label, series), help */
#define METRICS_TABLE(ROW)                                                                                            \
	ROW(METRIC_OPERATION_DURATION, "gen_ai_client_operation_duration_seconds", HISTOGRAM, "seconds", 1e-3,        \
		METRICS_GEN_AI, METRICS_LABELS("gen_ai_request_model", "error_type"), METRICS_BUCKETS_CALL,           \
		METRICS_MODELS, "Time of one attempt at the model, from sending to the end of the answer.")           \
	ROW(METRIC_TOKEN_USAGE, "gen_ai_client_token_usage", HISTOGRAM, "tokens", 1, METRICS_GEN_AI,                  \
		METRICS_LABELS("gen_ai_request_model", "error_type", "gen_ai_token_type"), METRICS_BUCKETS_TOKENS,    \
		METRICS_MODELS, "Tokens of one answer, by type (input, output).")                                     \
	ROW(METRIC_TIME_TO_FIRST_CHUNK, "gen_ai_client_operation_time_to_first_chunk_seconds", HISTOGRAM, "seconds",  \
		1e-3, METRICS_GEN_AI, METRICS_LABELS("gen_ai_request_model", "error_type"), METRICS_BUCKETS_CALL,     \
		METRICS_MODELS, "Time of one attempt until the first content came.")                                  \
	ROW(METRIC_PROCESS_DURATION, "messaging_process_duration_seconds", HISTOGRAM, "seconds", 1e-3, METRICS_KAFKA, \
		METRICS_LABELS("messaging_destination_name", "error_type"), METRICS_BUCKETS_PROCESS, METRICS_WORDS,   \
		"Time of a request in this process, from taken to committed.")                                        \
	ROW(METRIC_CONSUMED_MESSAGES, "messaging_client_consumed_messages_total", COUNTER, "", 1, METRICS_KAFKA,      \
		METRICS_LABELS("messaging_destination_name", "error_type", "messaging_operation_name"),               \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Records taken from Kafka.")                                       \
	ROW(METRIC_SENT_MESSAGES, "messaging_client_sent_messages_total", COUNTER, "", 1, METRICS_KAFKA,              \
		METRICS_LABELS("messaging_destination_name", "error_type", "messaging_operation_name"),               \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Records sent to Kafka and committed.")                            \
	ROW(METRIC_REQUESTS, "chat_worker_requests_total", COUNTER, "", 1, "", METRICS_LABELS("outcome"),             \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Replies that are committed: answered, fallback, rejected.")       \
	ROW(METRIC_FALLBACKS, "chat_worker_fallbacks_total", COUNTER, "", 1, "", METRICS_LABELS("reason"),            \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Fallback replies that are committed, by reason.")                 \
	ROW(METRIC_DLQ_MESSAGES, "chat_worker_dlq_messages_total", COUNTER, "", 1, "", METRICS_LABELS("reason"),      \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Dead letters that are committed, by reason.")                     \
	ROW(METRIC_UPSTREAM_RETRIES, "chat_worker_upstream_retries_total", COUNTER, "", 1, "",                        \
		METRICS_LABELS("reason"), METRICS_NO_BUCKETS, METRICS_WORDS,                                          \
		"Attempts at the model that followed a failed one, by the reason of the failure.")                    \
	ROW(METRIC_UPSTREAM_ATTEMPTS, "chat_worker_upstream_attempts_total", COUNTER, "", 1, "",                      \
		METRICS_LABELS("status"), METRICS_NO_BUCKETS, METRICS_WORDS,                                          \
		"Attempts at the model, by HTTP status, or by reason where none came.")                               \
	ROW(METRIC_HEDGES, "chat_worker_hedges_total", COUNTER, "", 1, "", METRICS_LABELS("result"),                  \
		METRICS_NO_BUCKETS, METRICS_WORDS,                                                                    \
		"Second calls for slow attempts: started, then won or lost; or why one that was due was not made.")   \
	ROW(METRIC_END_TO_END_DURATION, "chat_worker_end_to_end_duration_seconds", HISTOGRAM, "seconds", 1e-3, "",    \
		METRICS_NO_LABELS, METRICS_BUCKETS_CALL, METRICS_SINGLE,                                              \
		"From the request's record timestamp to the commit of its reply.")                                    \
	ROW(METRIC_QUEUE_WAIT, "chat_worker_queue_wait_seconds", HISTOGRAM, "seconds", 1e-3, "", METRICS_NO_LABELS,   \
		METRICS_BUCKETS_WAIT, METRICS_SINGLE, "From taken to the start of the first attempt.")                \
	ROW(METRIC_COMMIT_DURATION, "chat_worker_commit_duration_seconds", HISTOGRAM, "seconds", 1e-3, "",            \
		METRICS_NO_LABELS, METRICS_BUCKETS_WAIT, METRICS_SINGLE, "From the begin of a batch to its commit.")  \
	ROW(METRIC_INFLIGHT, "chat_worker_inflight", GAUGE, "", 1, "", METRICS_NO_LABELS, METRICS_NO_BUCKETS,         \
		METRICS_SINGLE, "Attempts at the model that run now.")                                                \
	ROW(METRIC_INFLIGHT_LIMIT, "chat_worker_inflight_limit", GAUGE, "", 1, "", METRICS_NO_LABELS,                 \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "How many attempts may run now.")                                 \
	ROW(METRIC_WAITING, "chat_worker_waiting", GAUGE, "", 1, "", METRICS_NO_LABELS, METRICS_NO_BUCKETS,           \
		METRICS_SINGLE, "Requests taken whose attempt has not started.")                                      \
	ROW(METRIC_BREAKER_STATE, "chat_worker_breaker_state", GAUGE, "", 1, "", METRICS_LABELS("state"),             \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Circuit breakers in each state: closed, open, half_open.")        \
	ROW(METRIC_RETRY_AFTER, "chat_worker_retry_after_seconds", GAUGE, "seconds", 1e-3, "", METRICS_NO_LABELS,     \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "How long the model service still asks to be left alone.")        \
	ROW(METRIC_COOLING_MODELS, "chat_worker_cooling_models", GAUGE, "", 1, "", METRICS_NO_LABELS,                 \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Models that asked for patience and are not called until then.")  \
	ROW(METRIC_LIMIT_REMAINING, "chat_worker_key_limit_remaining_usd", GAUGE, "usd", 1e-6, "",                    \
		METRICS_LABELS("limit"), METRICS_NO_BUCKETS, METRICS_WORDS,                                           \
		"What may still be spent under the key's own limit; not there when it has none. Looked at each "      \
		"minute.")                                                                                            \
	ROW(METRIC_RETRY_BUDGET, "chat_worker_retry_budget", GAUGE, "", 1e-3, "", METRICS_NO_LABELS,                  \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Retries that may be made now.")                                  \
	ROW(METRIC_CONSUMER_LAG, "chat_worker_consumer_lag", GAUGE, "", 1, "", METRICS_LABELS("topic", "partition"),  \
		METRICS_NO_BUCKETS, METRICS_PARTITIONS, "Records from the committed watermark to the log's end.")     \
	ROW(METRIC_FINISHED_ABOVE_WATERMARK, "chat_worker_finished_above_watermark", GAUGE, "", 1, "",                \
		METRICS_LABELS("topic", "partition"), METRICS_NO_BUCKETS, METRICS_PARTITIONS,                         \
		"Requests finished while an older one of the partition is still open.")                               \
	ROW(METRIC_OLDEST_OPEN, "chat_worker_oldest_open_seconds", GAUGE, "seconds", 1e-3, "",                        \
		METRICS_LABELS("topic", "partition"), METRICS_NO_BUCKETS, METRICS_PARTITIONS,                         \
		"Age of the oldest unfinished request of the partition.")                                             \
	ROW(METRIC_ASSIGNED_PARTITIONS, "chat_worker_assigned_partitions", GAUGE, "", 1, "", METRICS_NO_LABELS,       \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Partitions this process owns.")                                  \
	ROW(METRIC_DRAINING, "chat_worker_draining", GAUGE, "", 1, "", METRICS_NO_LABELS, METRICS_NO_BUCKETS,         \
		METRICS_SINGLE, "1 after SIGTERM.")                                                                   \
	ROW(METRIC_LAST_PROGRESS, "chat_worker_last_progress_timestamp_seconds", GAUGE, "seconds", 1e-3, "",          \
		METRICS_NO_LABELS, METRICS_NO_BUCKETS, METRICS_SINGLE, "Unix time of the last commit.")               \
	ROW(METRIC_BUILD_INFO, "chat_worker_build_info", GAUGE, "", 1, "version=\"" CHAT_WORKER_VERSION "\"",         \
		METRICS_NO_LABELS, METRICS_NO_BUCKETS, METRICS_SINGLE, "Always 1; the version is in the label.")      \
	ROW(METRIC_REBALANCES, "chat_worker_rebalances_total", COUNTER, "", 1, "", METRICS_LABELS("type"),            \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Changes of assignment: assign, revoke, lost.")                    \
	ROW(METRIC_COMMITS, "chat_worker_commits_total", COUNTER, "", 1, "", METRICS_LABELS("result"),                \
		METRICS_NO_BUCKETS, METRICS_WORDS, "Batches: committed, aborted, uncertain.")                         \
	ROW(METRIC_PRODUCER_RESTARTS, "chat_worker_producer_restarts_total", COUNTER, "", 1, "",                      \
		METRICS_LABELS("reason"), METRICS_NO_BUCKETS, METRICS_WORDS, "Producers given up and made anew.")     \
	ROW(METRIC_SKIPPED_FINISHED, "chat_worker_skipped_finished_total", COUNTER, "", 1, "", METRICS_NO_LABELS,     \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Records read again that were finished already.")                 \
	ROW(METRIC_STALE_RESULTS, "chat_worker_stale_results_total", COUNTER, "", 1, "", METRICS_NO_LABELS,           \
		METRICS_NO_BUCKETS, METRICS_SINGLE,                                                                   \
		"Results nobody waited for: deadline over, or partition moved away.")                                 \
	ROW(METRIC_KEY_MISMATCH, "chat_worker_key_mismatch_total", COUNTER, "", 1, "", METRICS_NO_LABELS,             \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Requests whose record key is not their conversation id.")        \
	ROW(METRIC_UNKNOWN_FIELDS, "chat_worker_unknown_fields_total", COUNTER, "", 1, "", METRICS_NO_LABELS,         \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Fields of requests that were ignored.")                          \
	ROW(METRIC_REPLY_TO_REFUSED, "chat_worker_reply_to_refused_total", COUNTER, "", 1, "", METRICS_NO_LABELS,     \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Requests that named a reply topic which is not allowed.")        \
	ROW(METRIC_OFFSETS_LOST, "chat_worker_offsets_lost_total", COUNTER, "", 1, "", METRICS_NO_LABELS,             \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Committed offsets that the topic's retention had deleted.")      \
	ROW(METRIC_REUSED_RESULTS, "chat_worker_reused_results_total", COUNTER, "", 1, "", METRICS_NO_LABELS,         \
		METRICS_NO_BUCKETS, METRICS_SINGLE, "Answers kept over a rebalance and used without a second call.")  \
	ROW(METRIC_PARKED_REPLIES, "chat_worker_parked_replies", GAUGE, "", 1, "", METRICS_NO_LABELS,                 \
		METRICS_NO_BUCKETS, METRICS_SINGLE,                                                                   \
		"Finished replies kept for partitions that were lost and may come back.")                             \
	ROW(METRIC_PARKED_CALLS, "chat_worker_parked_calls", GAUGE, "", 1, "", METRICS_NO_LABELS, METRICS_NO_BUCKETS, \
		METRICS_SINGLE, "Attempts that run on for partitions that were lost and may come back.")              \
	ROW(METRIC_PARKED_BYTES, "chat_worker_parked_bytes", GAUGE, "", 1, "", METRICS_NO_LABELS, METRICS_NO_BUCKETS, \
		METRICS_SINGLE, "Memory of what is kept for partitions that may come back.")                          \
	ROW(METRIC_PARKED_DROPPED, "chat_worker_parked_dropped_total", COUNTER, "", 1, "", METRICS_LABELS("reason"),  \
		METRICS_NO_BUCKETS, METRICS_WORDS,                                                                    \
		"Kept replies and calls that were not used: finished (elsewhere), other_record, expired, full, "      \
		"yielded (to a chat without a slot), failed, late, drained.")                                         \
	ROW(METRIC_COST, "chat_worker_cost_usd_total", COUNTER, "usd", 1e-9, "",                                      \
		METRICS_LABELS("gen_ai_request_model"), METRICS_NO_BUCKETS, METRICS_MODELS,                           \
		"What the model service charged, in US dollars.")

#define METRICS_MEMBER(member, ...) member,
enum metric_index { METRICS_TABLE(METRICS_MEMBER) METRIC_INDEX_COUNT };
#undef METRICS_MEMBER

/* METRIC_INDEX_COUNT descriptors, static. */
const struct metric_descriptor *metrics_table_descriptors(void);

/* Appends the table as the page docs/metrics.md. */
void metrics_table_write_markdown(struct buffer *out_text);

/* Appends the table for a terminal: name, type, labels, unit, help. */
void metrics_table_write_text(struct buffer *out_text);

#endif
