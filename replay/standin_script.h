/* What the stand-in OpenRouter shall do with a chat: named behaviours, and the two ways to ask for them.
 *
 * By chance, for a whole sandbox (`--fail`):
 *
 *     429:5%,502:1%,stall:0.5%
 *
 * By the chat's own text, for demos and tests: `[[...]]` anywhere in the last user message.
 *
 *     item      = "[[" head { qualifier } "]]"            words separated by spaces
 *     head      = behaviour | "status" NUMBER | NUMBER    a status from 400 to 599
 *               | setting NUMBER
 *     behaviour = "stall" | "hang" | "cut" | "error" | "empty" | "tool" | "refusal" | "garbage"
 *     setting   = "ttft" | "latency" | "tps" | "deltas"   in place of the sandbox's own value
 *     qualifier = "once" | "times" NUMBER                 only the first (NUMBER) requests with this exact text
 *               | "model" NAME                            only requests that ask for this model
 *               | "retry-after" SECONDS                   with a Retry-After header
 *
 * Settings all apply; of the behaviours the first that is not used up and whose model fits is served. A `[[` whose
 * head is none of these words is ordinary text; a known head with a mistake behind it makes the whole chat a 400, so
 * that a typing error in a test is seen.
 *
 * Ownership: views are borrowed from the text. Threads: pure functions, any. */
#ifndef REPLAY_STANDIN_SCRIPT_H
#define REPLAY_STANDIN_SCRIPT_H

#include <stdint.h>

#include "common/bytes.h"

/* member, word, what is served */
#define BEHAVIOUR_TABLE(ROW)                                                             \
	ROW(BEHAVIOUR_ANSWER, "answer", "an answer")                                     \
	ROW(BEHAVIOUR_STATUS, "status", "an error status with OpenRouter's JSON error")  \
	ROW(BEHAVIOUR_STALL, "stall", "200, keep-alive comments, never any content")     \
	ROW(BEHAVIOUR_HANG, "hang", "nothing at all")                                    \
	ROW(BEHAVIOUR_CUT, "cut", "half an answer, then the connection closes")          \
	ROW(BEHAVIOUR_ERROR, "error", "200, half an answer, then an error object (502)") \
	ROW(BEHAVIOUR_EMPTY, "empty", "200, no content, finish_reason stop")             \
	ROW(BEHAVIOUR_TOOL, "tool", "a call of the first tool that the request offers")  \
	ROW(BEHAVIOUR_REFUSAL, "refusal", "the model's own refusal")                     \
	ROW(BEHAVIOUR_GARBAGE, "garbage", "200 and an HTML page")

#define BEHAVIOUR_MEMBER(member, word, help) member,
enum behaviour { BEHAVIOUR_TABLE(BEHAVIOUR_MEMBER) };
#undef BEHAVIOUR_MEMBER

/* The word of the table; static, never NULL. */
const char *behaviour_word(enum behaviour behaviour);

enum { STATUS_CODE_OK = 200, STATUS_CODE_ERROR_MIN = 400, STATUS_CODE_ERROR_MAX = 599 };

enum script_setting { SCRIPT_TTFT, SCRIPT_LATENCY, SCRIPT_TPS, SCRIPT_DELTAS, SCRIPT_SETTING_COUNT };

struct script_item {
	bool is_setting;
	enum script_setting setting; /* with `number`, when is_setting; otherwise all below */
	int64_t number;
	enum behaviour behaviour;
	int status;              /* BEHAVIOUR_STATUS: 400..599, else 200 */
	int64_t times;           /* how many requests it is for; 0 = all */
	struct bytes model;      /* BYTES_NONE = any */
	int64_t retry_after_s;   /* -1 = no header */
	struct bytes error_type; /* BYTES_NONE = the usual one */
	size_t place;            /* where it stands in the text: tells two items of one text apart */
};

/* Finds the next item at or after `*cursor` and moves the cursor behind it.
 * STATUS_EMPTY: there is none any more. STATUS_INVALID: a known head with a mistake behind it. */
NODISCARD enum status script_next(struct bytes text, size_t *cursor, struct script_item *out_item);

enum { FAIL_ROWS_MAX = 16 };

/* Behaviours by chance; what is left of 1 is answered. */
struct fail_spec {
	struct {
		enum behaviour behaviour;
		int status;
		double share; /* of all requests, 0..1 */
	} rows[FAIL_ROWS_MAX];
	size_t count;
};

/* Reads `429:5%,stall:0.5%`; an empty text is no failures. STATUS_INVALID: unknown word, no percentage, more than
 * 100 % in sum. STATUS_FULL: more than FAIL_ROWS_MAX rows. */
NODISCARD enum status fail_spec_parse(struct bytes text, struct fail_spec *out_spec);

/* The behaviour for one throw of a die in [0, 1); `*out_status` is 200 but for BEHAVIOUR_STATUS. */
enum behaviour fail_spec_pick(const struct fail_spec *spec, double chance, int *out_status);

#endif
