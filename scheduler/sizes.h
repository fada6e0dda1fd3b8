/*
 * Sizes: named shapes that a job may ask for instead of amounts. Berth brings those of the service's families
 * (sizes_builtin.c); what a site adds, changes or removes stands over them and is kept in the journal. A name
 * is looked up without regard to case. Whether a family is restricted is a fact of the core.
 */
#ifndef BERTH_SCHEDULER_SIZES_H
#define BERTH_SCHEDULER_SIZES_H

#include "base/error.h"
#include "proto/json.h"
#include "scheduler/core/core.h"
#include "scheduler/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZE_NAME_MAX 64
#define SIZE_FAMILY_MAX 64
#define SIZES_MAX 4096
#define SIZE_PRICE_MAX 1e6

enum size_category { SIZE_GENERAL, SIZE_MEMORY, SIZE_COMPUTE, SIZE_HPC, SIZE_GPU, SIZE_CATEGORY_COUNT };

struct size {
    char name[SIZE_NAME_MAX + 1];
    char family[SIZE_FAMILY_MAX + 1];
    enum size_category category;
    uint32_t cpus; /* logical */
    uint32_t gpus;
    uint64_t memory_bytes;
    char gpu_model[NAME_MAX_BYTES + 1]; /* "": any */
    bool isolated;
    double price_hour; /* in whatever the site counts in; below 0: not known */
    bool changed;      /* by the site: the journal has it */
};

struct size_table {
    struct size *items;
    size_t count;
};

struct daemon;

/* Fills the table with what Berth brings. */
void sizes_init(struct size_table *t);
void sizes_finish(struct size_table *t);
/* Recovery: one that the site made, changed or removed. */
void sizes_load(struct size_table *t, const char *key, const char *doc);
/* Once the core is there: families that it has never heard of get their number, and are restricted if the
 * service's are. */
void sizes_settle(struct daemon *d);

const struct size *sizes_find(const struct size_table *t, const char *name); /* borrowed; NULL */
/* Puts it into the table and the journal, in place of one of that name. */
void sizes_put(struct daemon *d, const struct size *size);
void sizes_remove(struct daemon *d, const struct size *size);

bool size_name_valid(const char *name, struct error *err);
const char *size_category_name(enum size_category category);
bool size_category_parse(const char *text, enum size_category *out);
/* Reads the fields of a body over *size. */
bool size_read(const cJSON *body, struct size *size, struct error *err);
/* The API's object. */
cJSON *size_object(const struct daemon *d, const struct size *size);
/* "6 CPUs, 56G memory, 1 GPU". */
const char *size_words(const struct size *size, char out[96]);

/* Whether a known node could hold it if that were empty; true where no node is known. */
bool size_fits(const struct daemon *d, const struct size *size);
/* Of those that fit, the one that comes nearest in its shape, family and category. NULL: none fits. */
const struct size *sizes_nearest(const struct daemon *d, const struct size *like);
/* Of all, the one whose name comes nearest. NULL: the table is empty. */
const struct size *sizes_nearest_name(const struct daemon *d, const char *name);

/* families.c */
/* The number of a family: "NC", "nc promo" and "standardNCPromoFamily" alike; false: there is none. */
bool family_find(const struct daemon *d, const char *text, uint32_t *id);
/* As family_find, with an error that names the nearest and says where they are listed. */
bool family_need(const struct daemon *d, const char *text, uint32_t *id, struct error *err);
/* Tells the core whether the family is restricted, where that changes. */
bool family_restrict(struct daemon *d, uint32_t id, bool restricted, struct error *err);

/* What Berth brings. */
struct size_builtin {
    const char *name, *family;
    double memory_gib;
    enum size_category category;
    uint32_t cpus, gpus;
    bool isolated;
};
extern const struct size_builtin sizes_builtin[];
extern const size_t sizes_builtin_count;
bool family_builtin_restricted(const char *family);

#endif
