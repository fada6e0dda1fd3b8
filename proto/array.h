/*
 * The indices of a job array as people write them: `1-100%8`, `0-99`, `1-100:2`, `1,5,9-12`. Its elements
 * count from 1 in the order of their indices; an element is addressed as NAME@INDEX (no job's name has an @,
 * and no shell or URL minds one).
 */
#ifndef BERTH_PROTO_ARRAY_H
#define BERTH_PROTO_ARRAY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_ELEMENTS_MAX 1000000
#define ARRAY_INDEX_MAX 999999999
#define ARRAY_RANGES_MAX 1024
#define ARRAY_TEXT_MAX 16384
#define ARRAY_MARK '@'
#define ARRAY_SUFFIX_MAX 10 /* "@999999999" */

/* First, first + step, ... at most last. */
struct array_range {
    uint32_t first, last, step;
};

struct array_indices {
    struct array_range *ranges; /* ascending, without overlap; owned */
    size_t range_count;
    uint32_t count;
    uint32_t limit; /* at most so many at once; 0: no limit was written */
};

/* The whole text. False with *err (no field set) where it can't be; *out is then empty. Elsewhere the caller
 * gives it back. */
bool array_parse(const char *text, struct array_indices *out, struct error *err);
void array_finish(struct array_indices *a);
/* Of element n (1..count). */
uint32_t array_index(const struct array_indices *a, uint32_t n);
/* Which element has the index; 0: none. */
uint32_t array_element(const struct array_indices *a, uint32_t index);
uint32_t array_min(const struct array_indices *a);
uint32_t array_max(const struct array_indices *a);
/* "1-100:2,200", without the limit; the caller frees. */
char *array_text(const struct array_indices *a);
/* NAME@INDEX: true, and where the name ends. False: the text addresses a whole job. *index is UINT32_MAX
 * where what follows the mark is no index. */
bool array_address(const char *text, size_t *name_length, uint32_t *index);

#endif
