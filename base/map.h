/*
 * Hash maps from a string or a 64-bit number to a pointer. The map copies string keys; the values are the
 * caller's. A zeroed struct is an empty map. Iteration order is the order of slots: never let a decision
 * depend on it.
 */
#ifndef BERTH_BASE_MAP_H
#define BERTH_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    char *str;    /* owned; NULL in number maps */
    uint64_t num; /* key, or hash of the string */
    void *value;  /* NULL: free slot */
};

struct map {
    struct map_slot *slots; /* capacity is 0 or a power of two */
    size_t count, capacity;
};

void map_finish(struct map *m);      /* frees the table and the key copies, not the values */
void map_finish_free(struct map *m); /* the values, too: each is one of malloc's */
void *map_get_str(const struct map *m, const char *key);
/* Returns the value that stood there, or NULL. `value` must not be NULL. */
void *map_put_str(struct map *m, const char *key, void *value);
void *map_remove_str(struct map *m, const char *key);
void *map_get_num(const struct map *m, uint64_t key);
void *map_put_num(struct map *m, uint64_t key, void *value);
void *map_remove_num(struct map *m, uint64_t key);
/* for (size_t i = 0; (slot = map_next(&m, &i));) ... Do not add or remove while iterating. */
struct map_slot *map_next(const struct map *m, size_t *cursor);

#endif
