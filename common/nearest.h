/* "Did you mean": how far two words are apart.
 *
 * For messages about unknown names, so that whoever made a slip sees what was meant. Pure; memory and time are bounded
 * by NEAREST_WORD_MAX. */
#ifndef COMMON_NEAREST_H
#define COMMON_NEAREST_H

#include "common/bytes.h"

enum { NEAREST_WORD_MAX = 128 }; /* bytes; longer words are near to nothing */

/* Insertions, deletions, replacements and swaps of neighbours that make one word of the other (optimal string
 * alignment). SIZE_MAX when either word is longer than NEAREST_WORD_MAX. */
size_t nearest_distance(struct bytes a, struct bytes b);

/* Is `distance` small enough, for a word of this size, to be a slip of the pen? */
bool nearest_is_slip(size_t distance, size_t word_size);

#endif
