/* The sandbox, and the command that runs it until a signal. */
#include "replay/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "replay/command.h"
#include "replay/options.h"

static const struct mock_topic TOPICS[] = {
	{ SANDBOX_REQUESTS_TOPIC, SANDBOX_PARTITIONS },
	{ SANDBOX_RESPONSES_TOPIC, SANDBOX_PARTITIONS },
	{ SANDBOX_DEAD_LETTER_TOPIC, SANDBOX_DEAD_LETTER_PARTITIONS },
};

enum status sandbox_start(struct sandbox *sandbox, bool with_kafka, const struct standin_options *openrouter)
{
	*sandbox = (struct sandbox){ .kafka = NULL };
	enum status status = STATUS_OK;
	if (with_kafka) status = mock_kafka_start(TOPICS, sizeof TOPICS / sizeof TOPICS[0], &sandbox->kafka);
	if (status != STATUS_OK || openrouter == NULL) return status;
	status = standin_start(openrouter, &sandbox->openrouter);
	if (status == STATUS_INVALID)
		fprintf(stderr, "chat-replay: --listen %s: not of the form ADDRESS:PORT\n", openrouter->listen);
	else if (status != STATUS_OK)
		fprintf(stderr, "chat-replay: the stand-in cannot start on %s: %s\n", openrouter->listen,
			strerror(errno));
	return status;
}

void sandbox_stop(struct sandbox *sandbox)
{
	standin_stop(sandbox->openrouter);
	mock_kafka_stop(sandbox->kafka);
	*sandbox = (struct sandbox){ .kafka = NULL };
}

struct sandbox_options {
	const char *only;
	const char *fail;
	const char *write;
	int64_t for_ms; /* 0 = until a signal */
	int64_t seed;
	bool with_parent;
	struct standin_options openrouter;
};

#define MEMBER(name) offsetof(struct sandbox_options, name)

static const struct option_row ROWS[] = {
	{ "only", 0, OPTION_TEXT, MEMBER(only), "PART", "run only `kafka` or only `openrouter`" },
	{ "listen", 0, OPTION_TEXT, MEMBER(openrouter.listen), "ADDRESS:PORT",
		"of the stand-in (127.0.0.1:0; port 0 takes a free one)" },
	{ "write", 'w', OPTION_TEXT, MEMBER(write), "FILE", "write the addresses there, as NAME=value lines" },
	{ "ttft", 0, OPTION_MS, MEMBER(openrouter.timing.ttft_ms), "MS", "time to the first token" },
	{ "latency", 0, OPTION_MS, MEMBER(openrouter.timing.latency_ms), "MS", "time to the last token" },
	{ "tps", 0, OPTION_NUMBER, MEMBER(openrouter.timing.tps), "N",
		"deltas a second, where --latency is not given" },
	{ "deltas", 0, OPTION_NUMBER, MEMBER(openrouter.timing.deltas), "N", "pieces of an answer (20)" },
	{ "jitter", 0, OPTION_MS, MEMBER(openrouter.jitter_ms), "MS", "each answer is late by up to so much" },
	{ "keepalive", 0, OPTION_MS, MEMBER(openrouter.keepalive_ms), "MS",
		"pause between keep-alive comments (700; 0: none)" },
	{ "fail", 0, OPTION_TEXT, MEMBER(fail), "SPEC", "failures by chance, such as 429:5%,502:1%,stall:0.5%" },
	{ "seed", 0, OPTION_NUMBER, MEMBER(seed), "N", "of jitter and chance (1)" },
	{ "key", 0, OPTION_TEXT, MEMBER(openrouter.key), "KEY", "the only key that is let in (any)" },
	{ "journal", 0, OPTION_TEXT, MEMBER(openrouter.journal), "FILE", "append one JSON line for each chat request" },
	{ "for", 0, OPTION_SECONDS, MEMBER(for_ms), "TIME", "end by itself after so long" },
	{ "with-parent", 0, OPTION_FLAG, MEMBER(with_parent), NULL, "end when the parent process does" },
};

#undef MEMBER

static const struct option_table TABLE = {
	.command = "sandbox",
	.operands = "",
	.purpose = "An embedded Kafka with the topics " SANDBOX_REQUESTS_TOPIC ", " SANDBOX_RESPONSES_TOPIC
		   " and " SANDBOX_DEAD_LETTER_TOPIC ",\nand a stand-in OpenRouter, in one process, until Ctrl-C.\n"
		   "Workers on this Kafka need delivery = \"at_least_once\": it has no transactions.",
	.epilogue =
		"A chat can ask for a failure by its own text, for example [[429 once retry-after 1]], [[stall]],\n"
		"[[status 503 model stand-in/first]], [[tool]], [[latency 3000]]. Behaviours: a status from 400 to\n"
		"599, stall, hang, cut, error, empty, tool, refusal, garbage; qualifiers: once, times N, model NAME,\n"
		"retry-after S, type ERROR_TYPE; settings: ttft MS, latency MS, tps N, deltas N.",
	.rows = ROWS,
	.count = sizeof ROWS / sizeof ROWS[0],
};

static enum status complain(const char *text)
{
	fprintf(stderr, "chat-replay sandbox: %s\n", text);
	return STATUS_INVALID;
}

static enum status check_options(struct sandbox_options *options)
{
	if (options->only != NULL && strcmp(options->only, "kafka") != 0 && strcmp(options->only, "openrouter") != 0)
		return complain("--only takes kafka or openrouter");
	if (options->openrouter.timing.deltas < 1 || options->openrouter.timing.deltas > STANDIN_DELTAS_MAX)
		return complain("--deltas takes a number from 1 to 10000");
	options->openrouter.seed = (uint64_t)options->seed;
	if (fail_spec_parse(bytes_of(options->fail), &options->openrouter.fail) != STATUS_OK)
		return complain("--fail takes a list such as 429:5%,502:1%,stall:0.5%, not more than 100 % in sum");
	return STATUS_OK;
}

static void print_addresses(const struct sandbox *sandbox, FILE *stream)
{
	if (sandbox->kafka != NULL)
		fprintf(stream, "KAFKA_BOOTSTRAP_SERVERS=%s\n", mock_kafka_bootstraps(sandbox->kafka));
	if (sandbox->openrouter != NULL) fprintf(stream, "OPENROUTER_BASE_URL=%s\n", standin_url(sandbox->openrouter));
}

/* Whoever waits for the file never sees half of it. */
static enum status write_addresses(const struct sandbox *sandbox, const char *path)
{
	char draft[4096];
	int size = snprintf(draft, sizeof draft, "%s.new", path);
	if (size < 0 || (size_t)size >= sizeof draft) return STATUS_INVALID;
	FILE *file = fopen(draft, "w");
	if (file == NULL) return STATUS_IO;
	print_addresses(sandbox, file);
	bool is_written = fclose(file) == 0;
	return is_written && rename(draft, path) == 0 ? STATUS_OK : STATUS_IO;
}

/* False when the parent is gone already. */
static bool follow_parent(void)
{
	pid_t parent = getppid();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return false;
	return getppid() == parent;
}

static void wait_for_end(const sigset_t *signals, int64_t for_ms)
{
	struct timespec left = { .tv_sec = for_ms / 1000, .tv_nsec = for_ms % 1000 * 1000000 };
	for (;;) {
		int signal_number = for_ms > 0 ? sigtimedwait(signals, NULL, &left) : sigwaitinfo(signals, NULL);
		if (signal_number > 0 || errno != EINTR) return;
	}
}

static enum exit_code run_sandbox(const struct sandbox_options *options, const sigset_t *signals)
{
	struct sandbox sandbox;
	bool with_kafka = options->only == NULL || strcmp(options->only, "kafka") == 0;
	bool with_openrouter = options->only == NULL || strcmp(options->only, "openrouter") == 0;
	enum exit_code code = EXIT_CODE_FAILED;
	enum status status = sandbox_start(&sandbox, with_kafka, with_openrouter ? &options->openrouter : NULL);
	if (status == STATUS_OK && options->write != NULL && write_addresses(&sandbox, options->write) != STATUS_OK) {
		fprintf(stderr, "chat-replay sandbox: %s: %s\n", options->write, strerror(errno));
		code = EXIT_CODE_FILE;
	} else if (status == STATUS_OK) {
		print_addresses(&sandbox, stdout);
		fflush(stdout);
		wait_for_end(signals, options->for_ms);
		code = EXIT_CODE_OK;
	}
	sandbox_stop(&sandbox);
	return status == STATUS_INVALID ? EXIT_CODE_USAGE : code;
}

enum exit_code command_sandbox(int argc, char **argv)
{
	struct sandbox_options options = { .seed = 1, .openrouter = standin_options_default() };
	sigset_t signals;
	size_t operands = 0;
	enum status status = options_parse(&TABLE, argc, argv, &options, &operands);
	if (status == STATUS_CLOSED) return EXIT_CODE_OK;
	if (status != STATUS_OK || check_options(&options) != STATUS_OK) return EXIT_CODE_USAGE;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread is there, so that none takes them */
	if (options.with_parent && !follow_parent()) return EXIT_CODE_OK;
	return run_sandbox(&options, &signals);
}
