/* Planted bugs: each breaks one promise, and the simulation has to notice.
 *
 * They sit between modules, put there by the linker (--wrap), and do nothing unless chosen. A process plants one bug at
 * most, so a global says which; everything here is test code. */
#ifndef SIMULATION_PLANT_H
#define SIMULATION_PLANT_H

#include <stdbool.h>

/* member, word, the promise (ARCHITECTURE.md) that must be seen broken; 0 = any: a request that is answered again breaks the
 * second promise, or the first when it gets its reply without a call */
#define PLANT_TABLE(ROW)                                             \
	ROW(PLANT_NONE, "none", 0)                                   \
	ROW(PLANT_PROGRESS_MISSES_REPLY, "progress-misses-reply", 0) \
	ROW(PLANT_UNCERTAIN_IS_ABORTED, "uncertain-is-aborted", 1)   \
	ROW(PLANT_ABORTED_IS_FINISHED, "aborted-is-finished", 1)     \
	ROW(PLANT_ABORTED_IS_THE_END, "aborted-is-the-end", 1)       \
	ROW(PLANT_BITMAP_FORGOTTEN, "bitmap-forgotten", 0)           \
	ROW(PLANT_NO_ORDER, "no-order", 3)                           \
	ROW(PLANT_NO_DEADLINE, "no-deadline", 4)                     \
	ROW(PLANT_NO_DEAD_LETTER, "no-dead-letter", 5)               \
	ROW(PLANT_NO_DRAIN, "no-drain", 7)                           \
	ROW(PLANT_NO_BOUND, "no-bound", 8)                           \
	ROW(PLANT_NO_BUDGET, "no-budget", 9)                         \
	ROW(PLANT_NO_COOLING, "no-cooling", 9)                       \
	ROW(PLANT_SHARE_EARNED_TWICE, "share-earned-twice", 11)      \
	ROW(PLANT_REVOKE_IGNORED, "revoke-ignored", 0)               \
	ROW(PLANT_NOTHING_PARKED, "nothing-parked", 10)              \
	ROW(PLANT_PARKED_OTHER_RECORD, "parked-other-record", 1)     \
	ROW(PLANT_PARKED_IS_OPEN, "parked-is-open", 1)               \
	ROW(PLANT_PARKED_KEEPS_SLOTS, "parked-keeps-slots", 10)      \
	ROW(PLANT_NO_DOUBT, "no-doubt", 12)

#define PLANT_MEMBER(member, word, promise) member,
enum plant { PLANT_TABLE(PLANT_MEMBER) PLANT_COUNT };
#undef PLANT_MEMBER

/* Before anything else runs. */
void plant_choose(enum plant plant);
bool plant_is(enum plant plant);
const char *plant_word(enum plant plant);
int plant_promise(enum plant plant);

#endif
