/*
 * Names that the core knows by number: labels, GPU models, licences, workspaces, fabrics, size families. A
 * name keeps its number for as long as the journal lives. It is added to the journal's open batch before the
 * event that uses it, so that both are durable together.
 */
#ifndef BERTH_SCHEDULER_NAMES_H
#define BERTH_SCHEDULER_NAMES_H

#include "base/error.h"
#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>

#define NAME_MAX_BYTES 128
#define NAMES_WORKSPACES_MAX 65536
#define NAMES_FABRICS_MAX 65536
#define NAMES_RESERVATIONS_MAX 65536
#define NAMES_DEFAULT_WORKSPACE "default" /* number 0, known from the start */

/* Values are written into journals: never renumber. */
enum name_kind {
    NAME_LABEL = 0,       /* numbers from 0 */
    NAME_GPU_MODEL = 1,   /* from 1: 0 is a GPU whose model has no name */
    NAME_LICENCE = 2,     /* from 0 */
    NAME_WORKSPACE = 3,   /* from 1: 0 is the default one */
    NAME_FABRIC = 4,      /* from 1: 0 is not known */
    NAME_RESERVATION = 5, /* from 1: 0 is none */
    NAME_FAMILY = 6,      /* of sizes, from 1: 0 is none */
    NAME_KIND_COUNT
};

struct daemon;

struct name_table {
    struct map by_text[NAME_KIND_COUNT], by_id[NAME_KIND_COUNT];
    uint32_t next_id[NAME_KIND_COUNT];
};

void names_init(struct name_table *t);
void names_finish(struct name_table *t);
/* Recovery. A kind that this Berth doesn't know is left alone. */
void names_load(struct name_table *t, uint32_t kind, uint32_t id, const char *text);

/* The number of a name, a new one for a new name. ERROR_INVALID where it is empty, too long or has control
 * characters; ERROR_LIMIT where the kind has no more numbers. */
bool names_intern(struct daemon *d, enum name_kind kind, const char *name, uint32_t *id, struct error *err);
/* False: there is no such name. Adds none. */
bool names_find(const struct daemon *d, enum name_kind kind, const char *name, uint32_t *id);
/* "?" where unknown. Borrowed. */
const char *names_text(const struct daemon *d, enum name_kind kind, uint32_t id);
/* One past the highest number of the kind. */
uint32_t names_end(const struct daemon *d, enum name_kind kind);

#endif
