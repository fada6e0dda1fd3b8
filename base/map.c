/* Open addressing with linear probing and backward-shift deletion, at most three quarters full. */
#include "base/map.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define MAP_FIRST_CAPACITY 16

static uint64_t hash_str(const char *s)
{
    uint64_t h = 14695981039346656037ULL; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ULL;
    return h;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33; /* MurmurHash3's finaliser */
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

static size_t probe(const struct map *m, const char *str, uint64_t num)
{
    size_t i = (size_t)mix(num) & (m->capacity - 1);
    while (m->slots[i].value) {
        const struct map_slot *s = &m->slots[i];
        if (s->num == num && (!str || strcmp(s->str, str) == 0))
            break;
        i = (i + 1) & (m->capacity - 1);
    }
    return i;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->capacity = old.capacity ? old.capacity * 2 : MAP_FIRST_CAPACITY;
    m->slots = xcalloc(m->capacity, sizeof *m->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            m->slots[probe(m, old.slots[i].str, old.slots[i].num)] = old.slots[i];
    free(old.slots);
}

static void *get(const struct map *m, const char *str, uint64_t num)
{
    return m->capacity ? m->slots[probe(m, str, num)].value : NULL;
}

static void *put(struct map *m, const char *str, uint64_t num, void *value)
{
    if ((m->count + 1) * 4 > m->capacity * 3)
        grow(m);
    struct map_slot *s = &m->slots[probe(m, str, num)];
    void *old = s->value;
    if (!old) {
        s->str = xstrdup(str);
        s->num = num;
        m->count++;
    }
    s->value = value;
    return old;
}

static void *take(struct map *m, const char *str, uint64_t num)
{
    if (!m->capacity)
        return NULL;
    size_t mask = m->capacity - 1, i = probe(m, str, num);
    void *value = m->slots[i].value;
    if (!value)
        return NULL;
    free(m->slots[i].str);
    m->count--;
    for (size_t j = (i + 1) & mask; m->slots[j].value; j = (j + 1) & mask) {
        size_t home = (size_t)mix(m->slots[j].num) & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    memset(&m->slots[i], 0, sizeof m->slots[i]);
    return value;
}

void map_finish(struct map *m)
{
    for (size_t i = 0; i < m->capacity; i++)
        free(m->slots[i].str);
    free(m->slots);
    memset(m, 0, sizeof *m);
}

void map_finish_free(struct map *m)
{
    for (size_t i = 0; i < m->capacity; i++)
        free(m->slots[i].value);
    map_finish(m);
}

void *map_get_str(const struct map *m, const char *key)
{
    return get(m, key, hash_str(key));
}

void *map_put_str(struct map *m, const char *key, void *value)
{
    return put(m, key, hash_str(key), value);
}

void *map_remove_str(struct map *m, const char *key)
{
    return take(m, key, hash_str(key));
}

void *map_get_num(const struct map *m, uint64_t key)
{
    return get(m, NULL, key);
}

void *map_put_num(struct map *m, uint64_t key, void *value)
{
    return put(m, NULL, key, value);
}

void *map_remove_num(struct map *m, uint64_t key)
{
    return take(m, NULL, key);
}

struct map_slot *map_next(const struct map *m, size_t *cursor)
{
    while (*cursor < m->capacity)
        if (m->slots[(*cursor)++].value)
            return &m->slots[*cursor - 1];
    return NULL;
}
