/* The closed list of reasons why a chat was not answered: the `error.reason` of replies, the `chat-error` and
 * `dlq-reason` headers, and the label of the failure metrics. Part of the wire: see schemas/README.md.
 *
 * `retryable` tells the caller whether sending the same request again later can help. `message` is the one sentence
 * of `error.message`; it is ours and never holds text of the upstream or of users. */
#ifndef SCHEMAS_REASON_H
#define SCHEMAS_REASON_H

#include "common/bytes.h"

/* rejected: the caller's mistake. fallback: a valid request that got controlled text. */
enum reason_class { REASON_CLASS_NONE, REASON_CLASS_REJECTED, REASON_CLASS_FALLBACK };

/* member, word, class, retryable, message */
#define REASON_TABLE(ROW)                                                                                              \
	ROW(REASON_NONE, "", NONE, false, "")                                                                          \
	ROW(REASON_DECODE, "decode", REJECTED, false, "The record is neither readable msgpack nor readable JSON.")     \
	ROW(REASON_SCHEMA, "schema", REJECTED, false, "The request does not fit the schema.")                          \
	ROW(REASON_BAD_REQUEST, "bad_request", REJECTED, false, "The request asks for something that is not offered.") \
	ROW(REASON_TOO_LARGE, "too_large", REJECTED, false, "The request is larger than the limit.")                   \
	ROW(REASON_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", REJECTED, false,                                  \
		"The content type is neither msgpack nor JSON.")                                                       \
	ROW(REASON_MODEL_NOT_ALLOWED, "model_not_allowed", REJECTED, false, "The model is not on the allowed list.")   \
	ROW(REASON_CONTEXT_LENGTH, "context_length", REJECTED, false,                                                  \
		"The conversation is longer than the model accepts.")                                                  \
	ROW(REASON_TIMEOUT, "timeout", FALLBACK, true, "The model did not answer in time.")                            \
	ROW(REASON_CONNECT, "connect", FALLBACK, true, "The model service could not be reached.")                      \
	ROW(REASON_DNS, "dns", FALLBACK, true, "The model service's name could not be resolved.")                      \
	ROW(REASON_TLS, "tls", FALLBACK, true, "No trusted connection to the model service could be made.")            \
	ROW(REASON_RATE_LIMITED, "rate_limited", FALLBACK, true, "The model service limits the rate of requests.")     \
	ROW(REASON_OVERLOADED, "overloaded", FALLBACK, true, "The model service is overloaded.")                       \
	ROW(REASON_UPSTREAM_ERROR, "upstream_error", FALLBACK, true, "The model service failed.")                      \
	ROW(REASON_UPSTREAM_INVALID, "upstream_invalid", FALLBACK, true,                                               \
		"The model service sent something that is not an answer.")                                             \
	ROW(REASON_STREAM_BROKEN, "stream_broken", FALLBACK, true, "The answer broke off.")                            \
	ROW(REASON_EMPTY_ANSWER, "empty_answer", FALLBACK, true, "The model gave an empty answer.")                    \
	ROW(REASON_NO_PROVIDER, "no_provider", FALLBACK, true, "No provider serves this model and request.")           \
	ROW(REASON_AUTH, "auth", FALLBACK, true, "The service is not authorised at the model service.")                \
	ROW(REASON_CREDITS, "credits", FALLBACK, true, "The service has no credit at the model service.")              \
	ROW(REASON_MODEL_UNAVAILABLE, "model_unavailable", FALLBACK, false, "The model does not exist any more.")      \
	ROW(REASON_MODERATED, "moderated", FALLBACK, false, "The request was stopped by moderation.")                  \
	ROW(REASON_REFUSED, "refused", FALLBACK, false, "The model or its provider refused to answer.")                \
	ROW(REASON_DEADLINE, "deadline", FALLBACK, true, "The request's time was over before its turn came.")          \
	ROW(REASON_BREAKER_OPEN, "breaker_open", FALLBACK, true, "The model service is failing; no call was made.")    \
	ROW(REASON_SHUTDOWN, "shutdown", FALLBACK, true, "The service is shutting down.")                              \
	ROW(REASON_REPLY_TOO_LARGE, "reply_too_large", FALLBACK, false, "The reply is larger than the topic takes.")   \
	ROW(REASON_INTERNAL, "internal", FALLBACK, true, "The service had an internal problem.")

#define REASON_MEMBER(member, word, class, retryable, message) member,
enum reason { REASON_TABLE(REASON_MEMBER) };
#undef REASON_MEMBER

/* How many members `enum reason` has, REASON_NONE included. */
#define REASON_ONE(member, word, class, retryable, message) +1
enum { REASON_COUNT = 0 REASON_TABLE(REASON_ONE) };
#undef REASON_ONE

/* All results are static strings, never NULL; the empty string for REASON_NONE. */
const char *reason_word(enum reason reason);
const char *reason_message(enum reason reason);
enum reason_class reason_class(enum reason reason);
bool reason_is_retryable(enum reason reason);

/* STATUS_NOT_FOUND for a word that is not on the list. */
NODISCARD enum status reason_of_word(struct bytes word, enum reason *out_reason);

#endif
