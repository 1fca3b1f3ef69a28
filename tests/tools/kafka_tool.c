/* An echo over Kafka with nothing but the source and the publisher: for tests against real brokers.
 *
 *     kafka_tool --bootstrap 127.0.0.1:9092 --group g --in requests --out responses --id g-1
 *
 * Every record of `in` goes to `out` once, with a header `source` that names partition and offset. Progress carries a
 * text of --metadata-size characters that begins with the batch's id, by which uncertain batches are judged.
 * Lines on standard input: `hold` makes no more batches, `go` makes them again, `stale` gives the next batch an identity
 * of the wrong generation, `none` gives it none at all, `quit` publishes what was taken and ends. So does the end of the
 * input. What happens is told on standard output, one line each. */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "common/random.h"
#include "worker/edge/publisher.h"
#include "worker/metrics_table.h"

enum { ECHOES_MAX = 500, PARTITIONS_MAX = 256, PROPERTIES_MAX = 16, TURN_MS = 100, WAIT_MS = 5000, CLOSE_MS = 10000 };
enum { METADATA_MAX = 8192, LINE_MAX_SIZE = 64, GENERATION_AT = 7 };

/* A record and its echo; stays where it is while its batch is under way. */
struct echo {
	struct record *record;
	struct outgoing outgoing;
	char name[48];
	struct record_header header;
	bool is_dropped; /* its partition was given up */
};

struct tool {
	struct settings settings;
	const char *properties[PROPERTIES_MAX];
	struct log *log;
	struct metrics *metrics;
	struct source *source;
	struct publisher *publisher;
	struct random random;
	size_t metadata_size;

	struct echo *echoes[ECHOES_MAX];
	size_t count;
	size_t in_batch; /* the first ones */
	bool has_batch;
	size_t next_partition;

	bool is_holding, is_stale, is_nobody, is_quitting, is_fatal;
	char line[LINE_MAX_SIZE];
	size_t line_size;
};

static void free_echo(struct echo *echo)
{
	record_free(echo->record);
	free(echo);
}

static void on_assign(void *context, struct source_partition *partitions, size_t count)
{
	(void)context;
	for (size_t i = 0; i < count; i++)
		printf("assigned partition=%" PRId32 " committed=%" PRId64 " metadata=%zu end=%" PRId64 "\n",
			partitions[i].partition, partitions[i].committed, partitions[i].metadata.size,
			partitions[i].log_end);
	printf("ready\n");
}

static bool was_committed(const struct batch *batch)
{
	char id[32];
	(void)snprintf(id, sizeof(id), "%016" PRIx64, batch->commit_id);
	for (size_t i = 0; i < batch->progress_count; i++)
		if (bytes_starts_with(batch->found[i].metadata, bytes_of(id))) return true;
	return false;
}

static const char *word_of(const struct batch *batch)
{
	switch (batch->end) {
	case BATCH_PENDING:
		return "pending";
	case BATCH_COMMITTED:
		return "committed";
	case BATCH_PUBLISHED:
		return "published";
	case BATCH_ABORTED:
		return "aborted";
	case BATCH_UNCERTAIN:
		return was_committed(batch) ? "uncertain-committed" : "uncertain-aborted";
	}
	ASSERT_UNREACHABLE();
}

/* Echoes that are done, or whose partition is gone, leave; the others stay in their order. */
static void settle(struct tool *tool, size_t done)
{
	size_t kept = 0;
	for (size_t i = 0; i < tool->count; i++) {
		if (i < done || tool->echoes[i]->is_dropped)
			free_echo(tool->echoes[i]);
		else
			tool->echoes[kept++] = tool->echoes[i];
	}
	tool->count = kept;
	tool->in_batch = 0;
}

static void take_batch(struct tool *tool)
{
	struct batch *batch;
	if (publisher_take(tool->publisher, &batch) != STATUS_OK) return;
	bool is_done = batch->end == BATCH_COMMITTED || batch->end == BATCH_PUBLISHED ||
		       (batch->end == BATCH_UNCERTAIN && was_committed(batch));
	printf("batch end=%s records=%zu ms=%" PRId64 "\n", word_of(batch), batch->item_count, batch->took_ms);
	tool->has_batch = false;
	settle(tool, is_done ? tool->in_batch : 0);
	batch_free(batch);
}

static void on_revoke(void *context, const int32_t *partitions, size_t count, bool lost)
{
	struct tool *tool = context;
	if (tool->publisher != NULL && !lost && publisher_wait(tool->publisher, WAIT_MS) == STATUS_OK) take_batch(tool);
	for (size_t i = 0; i < tool->count; i++)
		for (size_t j = 0; j < count; j++)
			if (tool->echoes[i]->record->partition == partitions[j]) tool->echoes[i]->is_dropped = true;
	if (!tool->has_batch) settle(tool, 0);
	printf("revoked count=%zu lost=%d\n", count, lost);
}

static void add_echo(struct tool *tool, struct record *record)
{
	struct echo *echo = calloc(1, sizeof(*echo));
	ASSERT(echo != NULL);
	echo->record = record;
	(void)snprintf(echo->name, sizeof(echo->name), "%" PRId32 ":%" PRId64, record->partition, record->offset);
	echo->header = (struct record_header){ BYTES_LITERAL("source"), bytes_of(echo->name) };
	echo->outgoing = (struct outgoing){
		.topic = bytes_of(tool->settings.kafka.responses_topic),
		.key = record->key,
		.value = record->value,
		.headers = { &echo->header, 1 },
	};
	tool->echoes[tool->count++] = echo;
}

/* One record of each partition in turn, until there is none or no room. */
static void take_records(struct tool *tool)
{
	size_t partitions, idle = 0;
	const int32_t *list = source_partitions(tool->source, &partitions);
	while (idle < partitions && tool->count < ECHOES_MAX && !tool->is_quitting) {
		struct record *record = NULL;
		int32_t partition = list[tool->next_partition++ % partitions];
		enum status status = source_take(tool->source, partition, &record);
		idle = status == STATUS_OK ? 0 : idle + 1;
		if (status == STATUS_OK) add_echo(tool, record);
	}
}

static struct bytes make_metadata(const struct tool *tool, uint64_t commit_id)
{
	size_t size = tool->metadata_size < 16 ? 16 : tool->metadata_size;
	char *text = malloc(size + 17);
	ASSERT(text != NULL);
	(void)snprintf(text, 17, "%016" PRIx64, commit_id);
	memset(text + 16, 'x', size - 16);
	return bytes_at(text, size);
}

static void note_progress(const struct tool *tool, struct batch *batch, const struct record *record)
{
	size_t i = 0;
	while (i < batch->progress_count && batch->progress[i].partition != record->partition)
		i++;
	if (i == batch->progress_count)
		batch->progress[batch->progress_count++] = (struct batch_progress){ .partition = record->partition,
			.metadata = make_metadata(tool, batch->commit_id) };
	batch->progress[i].offset = record->offset + 1;
}

static struct bytes copy_group(struct tool *tool, struct bytes group)
{
	char *copy = malloc(group.size);
	ASSERT(copy != NULL);
	memcpy(copy, group.data, group.size);
	int32_t generation;
	memcpy(&generation, copy + GENERATION_AT, sizeof(generation));
	if (tool->is_stale) generation--;
	if (tool->is_nobody) generation = -1;
	memcpy(copy + GENERATION_AT, &generation, sizeof(generation));
	tool->is_stale = tool->is_nobody = false;
	return bytes_at(copy, group.size);
}

static void put_batch(struct tool *tool)
{
	struct bytes group = source_group(tool->source);
	if (tool->has_batch || tool->count == 0 || tool->is_holding || !bytes_is_given(group)) return;
	struct batch *batch = batch_new(ECHOES_MAX, PARTITIONS_MAX);
	ASSERT(batch != NULL);
	batch->commit_id = random_next(&tool->random) | 1;
	batch->group = copy_group(tool, group);
	for (size_t i = 0; i < tool->count; i++) {
		batch->items[batch->item_count++] = (struct batch_item){ .record = &tool->echoes[i]->outgoing };
		note_progress(tool, batch, tool->echoes[i]->record);
	}
	tool->in_batch = tool->count;
	tool->has_batch = true;
	enum status status = publisher_put(tool->publisher, batch);
	ASSERT(status == STATUS_OK);
}

static void obey(struct tool *tool, const char *line)
{
	if (strcmp(line, "hold") == 0) tool->is_holding = true;
	if (strcmp(line, "go") == 0) tool->is_holding = false;
	if (strcmp(line, "stale") == 0) tool->is_stale = true;
	if (strcmp(line, "none") == 0) tool->is_nobody = true;
	if (strcmp(line, "quit") == 0) tool->is_quitting = true;
	printf("obeyed %s\n", line);
}

static void read_orders(struct tool *tool)
{
	char one;
	struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };
	while (!tool->is_quitting && poll(&ready, 1, 0) > 0) {
		if (read(STDIN_FILENO, &one, 1) != 1) {
			tool->is_quitting = true;
		} else if (one != '\n' && tool->line_size < LINE_MAX_SIZE - 1) {
			tool->line[tool->line_size++] = one;
		} else {
			tool->line[tool->line_size] = '\0';
			tool->line_size = 0;
			obey(tool, tool->line);
		}
	}
}

static void turn(struct tool *tool)
{
	struct pollfd fds[] = {
		{ .fd = source_fd(tool->source), .events = POLLIN },
		{ .fd = publisher_fd(tool->publisher), .events = POLLIN },
		{ .fd = tool->is_quitting ? -1 : STDIN_FILENO, .events = POLLIN },
	};
	(void)poll(fds, sizeof(fds) / sizeof(fds[0]), TURN_MS);
	read_orders(tool);
	tool->is_fatal = source_serve(tool->source) == STATUS_FATAL;
	take_batch(tool);
	take_records(tool);
	put_batch(tool);
}

/* The publisher asks the source, so it goes first; what its batch borrowed is free then. */
static void close_all(struct tool *tool)
{
	if (publisher_stop(tool->publisher, CLOSE_MS) != STATUS_OK) _exit(1);
	tool->publisher = NULL;
	tool->has_batch = false;
	settle(tool, tool->count);
	if (source_close(tool->source, CLOSE_MS) != STATUS_OK) _exit(1);
	tool->source = NULL;
}

static int run(struct tool *tool)
{
	const struct source_options source = {
		.settings = &tool->settings,
		.log = tool->log,
		.metrics = tool->metrics,
		.events = { .context = tool, .on_assign = on_assign, .on_revoke = on_revoke },
	};
	if (source_open(&source, &tool->source) != STATUS_OK) return 1;
	const struct publisher_options publisher = {
		.settings = &tool->settings, .source = tool->source, .log = tool->log, .metrics = tool->metrics
	};
	if (publisher_start(&publisher, &tool->publisher) != STATUS_OK) return 1;
	while (!tool->is_fatal && !(tool->is_quitting && tool->count == 0 && !tool->has_batch))
		turn(tool);
	printf("%s\n", tool->is_fatal ? "fatal" : "done");
	return tool->is_fatal ? 3 : 0;
}

static bool read_option(struct tool *tool, int option, const char *value)
{
	switch (option) {
	case 'b':
		tool->settings.kafka.bootstrap_servers = value;
		return true;
	case 'g':
		tool->settings.kafka.group_id = value;
		return true;
	case 'i':
		tool->settings.kafka.requests_topic = value;
		return true;
	case 'o':
		tool->settings.kafka.responses_topic = value;
		tool->settings.kafka.dead_letter_topic = value;
		return true;
	case 't':
		tool->settings.kafka.transactional_id = value;
		return true;
	case 's':
		tool->settings.kafka.group_instance_id = value;
		return true;
	case 'm':
		tool->metadata_size = strtoul(value, NULL, 10);
		return tool->metadata_size <= METADATA_MAX;
	case 'p':
		if (tool->settings.kafka.producer_properties.count == PROPERTIES_MAX) return false;
		tool->properties[tool->settings.kafka.producer_properties.count++] = value;
		return true;
	case 'a':
		tool->settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
		return true;
	default:
		return false;
	}
}

static bool read_options(struct tool *tool, int argc, char **argv)
{
	static const struct option options[] = {
		{ "bootstrap", required_argument, NULL, 'b' },
		{ "group", required_argument, NULL, 'g' },
		{ "in", required_argument, NULL, 'i' },
		{ "out", required_argument, NULL, 'o' },
		{ "id", required_argument, NULL, 't' },
		{ "instance", required_argument, NULL, 's' },
		{ "metadata-size", required_argument, NULL, 'm' },
		{ "producer-property", required_argument, NULL, 'p' },
		{ "at-least-once", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
		if (!read_option(tool, option, optarg)) return false;
	return optind == argc;
}

static void preset(struct tool *tool)
{
	tool->settings.kafka.bootstrap_servers = "127.0.0.1:9092";
	tool->settings.kafka.group_id = "echo";
	tool->settings.kafka.requests_topic = "requests";
	tool->settings.kafka.responses_topic = "responses";
	tool->settings.kafka.dead_letter_topic = "responses";
	tool->settings.kafka.transactional_id = "echo-1";
	tool->settings.kafka.group_instance_id = "";
	tool->settings.kafka.session_timeout_ms = 3000;
	tool->settings.kafka.heartbeat_interval_ms = 200;
	tool->settings.kafka.max_poll_interval_ms = 30000;
	tool->settings.kafka.producer_properties.items = tool->properties;
	tool->settings.limits.record_bytes = 65536;
	tool->settings.openrouter.response_max_bytes = 65536;
}

int main(int argc, char **argv)
{
	static struct tool tool;
	preset(&tool);
	if (!read_options(&tool, argc, argv)) {
		fprintf(stderr, "kafka_tool: wrong arguments\n");
		return 2;
	}
	const struct log_options options = { .fd = 2, .level = LOG_LEVEL_INFO, .format = LOG_FORMAT_LOGFMT };
	tool.log = log_new(&options);
	tool.metrics = metrics_new(metrics_table_descriptors(), METRIC_INDEX_COUNT);
	ASSERT(tool.log != NULL);
	ASSERT(tool.metrics != NULL);
	random_init(&tool.random, random_system_seed());
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	int code = run(&tool);
	close_all(&tool);
	metrics_free(tool.metrics);
	log_free(tool.log);
	printf("closed\n");
	return code;
}
