/* The nearest right word for a misspelt one. */
#ifndef BERTH_PROTO_SUGGEST_H
#define BERTH_PROTO_SUGGEST_H

#include <stddef.h>

/* Damerau-Levenshtein distance (adjacent swaps count one), ignoring case; words longer than 63 bytes are
 * infinitely far. */
unsigned suggest_distance(const char *a, const char *b);
/* The nearest of `count` words (borrowed) if it is near enough to be meant, else NULL. `words` is strided by
 * `stride` bytes: an array of structs whose first member is the `const char *` word can be passed as it is.
 */
const char *suggest_nearest(const char *wrong, const void *words, size_t count, size_t stride);

#endif
