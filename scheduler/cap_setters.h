/* Who set the caps that hold, and when: for those whose jobs they hold back. The caps are the core's. */
#ifndef BERTH_SCHEDULER_CAP_SETTERS_H
#define BERTH_SCHEDULER_CAP_SETTERS_H

#include "scheduler/core/core.h"

#include <stddef.h>

struct daemon;

struct cap_setter {
    char *by;      /* NULL: not known */
    int64_t at_ms; /* wall clock */
};

struct cap_setters {
    struct cap_setters_of {
        enum core_quota_scope scope;
        uint32_t id;
        struct cap_setter priority, time;
    } * items;
    size_t count;
};

/* Recovery. Other settings are left alone. */
void cap_setters_load(struct cap_setters *t, const char *key, const char *doc);
void cap_setters_finish(struct cap_setters *t);
/* Notes who changed them; durable with the open batch. */
void cap_setters_note(struct daemon *d, const struct core_caps *before, const struct core_caps *after,
                      const char *by);
/* NULL: nobody is known for any. */
const struct cap_setters_of *cap_setters_find(const struct cap_setters *t, enum core_quota_scope scope,
                                              uint32_t id);

#endif
