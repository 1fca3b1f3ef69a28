/* The simulation: thousands of seeds of the flow in a scripted world; see world.h for what is checked.
 *
 *   simulation --seeds N [--from SEED] [--jobs N]   that many seeds, in so many processes at once
 *   simulation --seeds N --hash           only one number: the same for the same seeds, whatever built it, wherever it runs
 *   simulation --seed SEED                one seed, told event by event
 *   simulation --plants                   also: every planted bug must be caught, each in a process of its own
 *
 * Exit 0 only if every promise held and every planted bug was caught. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/hash.h"
#include "jobs.h"
#include "plant.h"
#include "world.h"

enum { PLANT_SEEDS = 400, CALM_AFTER_MS = 30000, SETTLING_MS = 30000 };

void world_break(struct world *world, int promise, const char *format, ...)
{
	if (world->broken != 0) return;
	world->broken = promise;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(world->why, sizeof(world->why), format, arguments);
	va_end(arguments);
}

static void fold(struct world *world, uint64_t value)
{
	world->trace = (world->trace ^ value) * 0x9e3779b97f4a7c15ULL;
	world->trace ^= world->trace >> 29;
}

/* One conversion of a format, without its '%': d, lld, zu or s. Returns how long it is. */
static size_t fold_argument(struct world *world, const char *format, va_list *arguments)
{
	size_t size = strspn(format, "lz") + 1;
	switch (format[size - 1]) {
	case 's':
		world_fold_bytes(world, bytes_of(va_arg(*arguments, const char *)));
		return size;
	case 'd':
		fold(world, (uint64_t)(size == 1 ? va_arg(*arguments, int) : va_arg(*arguments, long long)));
		return size;
	default:
		ASSERT(format[0] == 'z' && format[1] == 'u');
		fold(world, va_arg(*arguments, size_t));
		return size;
	}
}

void world_fold_bytes(struct world *world, struct bytes bytes)
{
	struct hash_key key = { .k0 = world->trace };
	fold(world, hash_keyed(key, bytes));
}

void world_tell(struct world *world, const char *format, ...)
{
	world->events++;
	va_list arguments;
	va_start(arguments, format);
	fold(world, (uint64_t)world->now_ms);
	/* What would be printed, without the time that printing takes. */
	for (const char *at = format; *at != 0; at++)
		if (*at == '%')
			at += fold_argument(world, at + 1, &arguments);
		else
			fold(world, (unsigned char)*at);
	va_end(arguments);
	if (!world->is_loud) return;
	va_start(arguments, format);
	printf("%lld ", (long long)world->now_ms);
	vprintf(format, arguments);
	putchar('\n');
	va_end(arguments);
}

struct instant world_instant(const struct world *world)
{
	return (struct instant){ .mono_ms = world->now_ms, .wall_ms = world->now_ms + 1700000000000 };
}

int64_t world_draw(struct world *world, int64_t from, int64_t to)
{
	return from + (int64_t)random_below(&world->random, (uint64_t)(to - from + 1));
}

bool world_chance(struct world *world, int percent)
{
	return (int)random_below(&world->random, 100) < percent;
}

static bool is_member(const struct member *member)
{
	return member->flow != NULL && !member->is_zombie && member->drains_until_ms == 0;
}

static int draw_owner(struct world *world, const struct partition *partition, bool is_sticky)
{
	int able[MEMBERS], count = 0;
	for (int m = 0; m < MEMBERS; m++)
		if (is_member(&world->members[m])) able[count++] = m;
	if (is_sticky && partition->former >= 0 && is_member(&world->members[partition->former]))
		return partition->former;
	return count == 0 ? -1 : able[random_below(&world->random, (uint64_t)count)];
}

/* A new generation with a new distribution; the members hear of it at once, except zombies. */
static void rebalance_as(struct world *world, bool is_sticky)
{
	if (kafka_is_down(world)) return; /* there is one when it is up again */
	world->rebalances++;
	world->generation++;
	world_tell(world, "rebalance");
	for (int p = 0; p < PARTITIONS; p++) {
		struct partition *partition = &world->partitions[p];
		int owner = draw_owner(world, partition, is_sticky);
		if (owner == partition->owner && owner >= 0 && world->members[owner].has[p]) continue;
		if (partition->owner >= 0) {
			struct member *old = &world->members[partition->owner];
			if (old->flow != NULL && !old->is_zombie && old->has[p])
				member_revoke(world, partition->owner, p, world_chance(world, 70));
		}
		partition->owner = owner;
	}
	for (int m = 0; m < MEMBERS; m++)
		if (is_member(&world->members[m])) world->members[m].generation = world->generation;
}

static void rebalance(struct world *world)
{
	rebalance_as(world, false);
}

/* Nobody has heard of the brokers for a session. */
static void lose_all(struct world *world)
{
	world->blackout.has_lost = true;
	world_tell(world, "all is lost");
	for (int p = 0; p < PARTITIONS; p++) {
		for (int m = 0; m < MEMBERS; m++)
			if (world->members[m].flow != NULL && world->members[m].has[p])
				member_revoke(world, m, p, false);
		world->partitions[p].former = world->partitions[p].owner;
		world->partitions[p].owner = -1;
	}
}

static void end_blackout(struct world *world)
{
	struct blackout *blackout = &world->blackout;
	blackout->is_over = true;
	world_tell(world, "brokers are up");
	if (blackout->has_lost && world_chance(world, 20))
		kafka_make_anew(world, (int)random_below(&world->random, PARTITIONS));
	rebalance_as(world, world_chance(world, 80));
}

static void move_blackout(struct world *world)
{
	struct blackout *blackout = &world->blackout;
	if (!kafka_is_down(world)) return;
	if (!blackout->has_lost && world->now_ms >= blackout->from_ms + SESSION_MS) lose_all(world);
	if (world->now_ms >= blackout->until_ms) end_blackout(world);
}

/* Partitions reach their new owners once the old one is done and no transaction holds their offsets. */
static void hand_over(struct world *world)
{
	if (kafka_is_down(world)) return;
	for (int p = 0; p < PARTITIONS; p++) {
		struct partition *partition = &world->partitions[p];
		if (partition->owner < 0 || partition->pending != -1) continue;
		struct member *owner = &world->members[partition->owner];
		if (!is_member(owner) || (owner->has[p] && !owner->revoking[p])) continue;
		bool is_held = owner->revoking[p];
		for (int m = 0; m < MEMBERS; m++) {
			const struct member *other = &world->members[m];
			if (other->flow != NULL && !other->is_zombie && other->has[p] && other->revoking[p])
				is_held = true;
		}
		if (!is_held) member_assign(world, partition->owner, p);
	}
}

static void make_zombie(struct world *world, int m)
{
	struct member *member = &world->members[m];
	member->is_zombie = true;
	member->zombie_ms = world->now_ms;
	bool stands_still = world_chance(world, 50);
	if (stands_still) member->still_until_ms = world->now_ms + world_draw(world, SESSION_MS, 2 * SESSION_MS);
	int64_t from_ms = stands_still ? member->still_until_ms : world->now_ms;
	member->told_ms = from_ms + world_draw(world, stands_still ? 0 : 100, 5000);
	world_tell(world, "zombie member %d%s", m, stands_still ? ", which stands still" : "");
	rebalance(world);
}

/* A zombie hears that everything is lost and joins again. */
static void wake_zombie(struct world *world, int m)
{
	struct member *member = &world->members[m];
	for (int p = 0; p < PARTITIONS; p++)
		if (member->has[p]) member_revoke(world, m, p, false);
	member->is_zombie = false;
	member->still_until_ms = 0;
	world_tell(world, "woken member %d", m);
	rebalance(world);
}

static void fault(struct world *world)
{
	int m = (int)random_below(&world->random, MEMBERS);
	struct member *member = &world->members[m];
	uint64_t kind = random_below(&world->random, 5);
	/* The group stands still with the brokers. */
	if (kind != 0 && kafka_is_down(world)) return;
	switch (kind) {
	case 0:
		if (member->flow == NULL) return;
		world->crashes++;
		member_kill(world, m);
		rebalance(world);
		return;
	case 1:
		if (is_member(member)) make_zombie(world, m);
		return;
	case 2:
		if (is_member(member)) member_drain(world, m);
		return;
	default:
		rebalance(world);
		return;
	}
}

/* Members that are due to come back, to wake up, or that have ended. */
static void revive(struct world *world)
{
	for (int m = 0; m < MEMBERS; m++) {
		struct member *member = &world->members[m];
		if (member->told_ms > world->now_ms) continue;
		if (member->flow == NULL) {
			member_start(world, m);
			rebalance(world);
		} else if (member->is_zombie) {
			wake_zombie(world, m);
		}
	}
}

static int64_t next_ms(const struct world *world)
{
	int64_t due_ms = world->now_ms + 250;
	if (world->now_ms < world->calm_ms) {
		if (world->faults_due_ms < due_ms) due_ms = world->faults_due_ms;
		if (world->input_due_ms < due_ms) due_ms = world->input_due_ms;
	}
	if (!world->blackout.is_over) {
		if (!kafka_is_down(world) && world->blackout.from_ms < due_ms) due_ms = world->blackout.from_ms;
		if (world->blackout.until_ms < due_ms) due_ms = world->blackout.until_ms;
	}
	for (int m = 0; m < MEMBERS; m++) {
		const struct member *member = &world->members[m];
		if (member->flow != NULL && member_due(world, m) < due_ms) due_ms = member_due(world, m);
		if (member->told_ms > world->now_ms && member->told_ms < due_ms) due_ms = member->told_ms;
	}
	/* Always forward, so that a flow whose due time has passed cannot stop the world. */
	return due_ms > world->now_ms ? due_ms : world->now_ms + 1;
}

static bool is_everything_answered(const struct world *world)
{
	for (int p = 0; p < PARTITIONS; p++)
		for (int64_t offset = 0; offset < world->partitions[p].end; offset++) {
			const struct request *request = &world->partitions[p].requests[offset];
			if (request->exists && request->replies == 0) return false;
		}
	return true;
}

static void step(struct world *world)
{
	world->now_ms = next_ms(world);
	if (world->now_ms < world->calm_ms) {
		if (world->now_ms >= world->input_due_ms) {
			if (!kafka_is_down(world)) kafka_add_request(world);
			world->input_due_ms = world->now_ms + world_draw(world, 0, 200);
		}
		if (world->now_ms >= world->faults_due_ms) {
			fault(world);
			world->faults_due_ms = world->now_ms + world_draw(world, 200, 5000);
		}
	}
	move_blackout(world);
	revive(world);
	hand_over(world);
	for (int m = 0; m < MEMBERS; m++)
		if (world->members[m].flow != NULL && world->members[m].still_until_ms <= world->now_ms)
			member_turn(world, m);
}

static void run(struct world *world, uint64_t seed, bool is_loud)
{
	memset(world, 0, sizeof(*world));
	world->seed = seed;
	world->is_loud = is_loud;
	random_init(&world->random, seed);
	world->now_ms = 1000;
	world->calm_ms = world->now_ms + CALM_AFTER_MS;
	world->faults_due_ms = world->now_ms + 500;
	static const int hedge_percents[] = { 0, 5, 20, 100 };
	world->hedge_percent = hedge_percents[random_below(&world->random, 4)];
	upstream_draw_outages(world);
	kafka_draw_blackout(world);
	bool is_tight = world_chance(world, 20);
	world->park = (struct park_options){
		.keep_ms = is_tight ? world_draw(world, 200, 6000) : 120000,
		.bytes_max = is_tight ? (size_t)world_draw(world, 0, 60000) : 1 << 20,
	};
	kafka_init(world);
	for (int m = 0; m < MEMBERS; m++)
		member_start(world, m);
	rebalance(world);

	int64_t latest_ms = world->calm_ms + SETTLING_MS;
	while (world->broken == 0 && world->now_ms < latest_ms) {
		step(world);
		if (world->now_ms >= world->calm_ms && is_everything_answered(world) && kafka_has_all_progress(world))
			break;
	}
	if (world->broken == 0) kafka_check_all_answered(world);
	for (int m = 0; m < MEMBERS; m++)
		if (world->members[m].flow != NULL) member_kill(world, m);
}

static int run_seeds(uint64_t from, uint64_t count)
{
	struct world *world = malloc(sizeof(*world));
	ASSERT(world != NULL);
	long outage_calls = 0, coolings = 0, fewer_calls = 0, ignoring_calls = 0;
	long parked[PARK_END_COUNT] = { 0 };
	long calls = 0, hedges = 0, replies = 0, aborts = 0, uncertain = 0, rebalances = 0, crashes = 0;
	uint64_t trace = 0;
	long events = 0;
	int broken = 0;
	for (uint64_t seed = from; seed < from + count && broken == 0; seed++) {
		run(world, seed, false);
		calls += world->calls;
		hedges += world->hedges;
		replies += world->replies;
		aborts += world->aborts;
		uncertain += world->uncertain;
		rebalances += world->rebalances;
		crashes += world->crashes;
		outage_calls += world->outage_calls;
		coolings += world->coolings;
		fewer_calls += world->fewer_calls;
		ignoring_calls += world->ignoring_calls;
		for (int end = 0; end < (int)PARK_END_COUNT; end++)
			parked[end] += world->parked[end];
		trace = trace * 31 + world->trace;
		events += world->events;
		broken = world->broken;
		if (broken != 0)
			fprintf(stderr, "promise %d broken, seed %llu: %s\nagain: simulation --seed %llu\n", broken,
				(unsigned long long)seed, world->why, (unsigned long long)seed);
	}
	printf("%llu seeds: %ld replies, %ld calls (%ld in outages, %ld second ones, %ld for fewer tokens, %ld without "
	       "some provider), "
	       "%ld asked for patience, %ld aborted, %ld uncertain, %ld rebalances, %ld crashes; trace %016llx\n",
		(unsigned long long)count, replies, calls, outage_calls, hedges, fewer_calls, ignoring_calls, coolings,
		aborts, uncertain, rebalances, crashes, (unsigned long long)trace);
	printf("kept:");
	for (int end = 0; end < (int)PARK_END_COUNT; end++)
		printf(" %ld %s", parked[end], park_end_word((enum park_end)end));
	putchar('\n');
	printf("%.0f events a seed\n", (double)events / (double)count);
	free(world);
	return broken;
}

/* Everything that happened, in one number. Broken promises are told by run_seeds(). */
static int print_hash(uint64_t from, uint64_t count)
{
	struct world *world = malloc(sizeof(*world));
	ASSERT(world != NULL);
	uint64_t hash = 0;
	for (uint64_t seed = from; seed < from + count; seed++) {
		run(world, seed, false);
		hash = hash * 31 + world->trace;
	}
	printf("%016llx\n", (unsigned long long)hash);
	free(world);
	return 0;
}

/* In a process of its own: an assertion of the code may be what catches it. Returns whether it was caught as promised. */
static bool is_caught(enum plant plant)
{
	fflush(stdout);
	pid_t child = fork();
	ASSERT(child >= 0);
	if (child == 0) {
		plant_choose(plant);
		if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL) _exit(99);
		_exit(run_seeds(1, PLANT_SEEDS));
	}
	int result;
	pid_t ended = waitpid(child, &result, 0);
	ASSERT(ended == child);
	int promise = WIFEXITED(result) ? WEXITSTATUS(result) : 0;
	bool is_assertion = WIFSIGNALED(result);
	bool is_right = promise == plant_promise(plant) || (plant_promise(plant) == 0 && promise != 0) || is_assertion;
	bool caught = is_right && (promise != 0 || is_assertion);
	printf("planted %-24s %s", plant_word(plant), caught ? "caught" : "NOT CAUGHT");
	if (is_assertion)
		printf(" by an assertion\n");
	else
		printf(" by promise %d\n", promise);
	return caught;
}

static int run_plants(void)
{
	int missed = 0;
	for (int plant = PLANT_NONE + 1; plant < (int)PLANT_COUNT; plant++)
		if (!is_caught((enum plant)plant)) missed++;
	return missed;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 0, from = 1, jobs = 1;
	bool plants = false, only_hash = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--plants") == 0)
			plants = true;
		else if (strcmp(argv[i], "--hash") == 0)
			only_hash = true;
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
			jobs = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
			seeds = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
			from = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
			struct world *world = malloc(sizeof(*world));
			ASSERT(world != NULL);
			run(world, strtoull(argv[++i], NULL, 10), true);
			printf("promise broken: %d %s; trace %016llx\n", world->broken, world->why,
				(unsigned long long)world->trace);
			int broken = world->broken;
			free(world);
			return broken;
		} else {
			fprintf(stderr, "usage: simulation [--seeds N [--from SEED] [--jobs N] [--hash]] [--seed SEED] "
					"[--plants]\n");
			return 2;
		}
	}
	if (jobs == 0 || jobs > JOBS_MAX) {
		fprintf(stderr, "simulation: 1 to %d jobs\n", JOBS_MAX);
		return 2;
	}
	if (only_hash) return print_hash(from, seeds);
	int broken = seeds > 0 ? jobs_run(run_seeds, from, seeds, jobs) : 0;
	if (broken == 0 && plants) broken = run_plants();
	return broken == 0 ? 0 : 1;
}
