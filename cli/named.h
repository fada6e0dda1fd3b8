/* What verbs over things with names share: show some of a list, and create, update or delete one. */
#ifndef BERTH_CLI_NAMED_H
#define BERTH_CLI_NAMED_H

#include "base/error.h"
#include "proto/json.h"

#include <stdbool.h>

struct client;

/* A kind of thing. */
struct named {
    const char *noun; /* the verb, too: berth NOUN list */
    const char *path; /* of the API: GET lists them, POST makes one, POST PATH/NAME/update changes it */
    bool any_case;    /* names are the same in any case */
};

/* Appends those of the list that have the names, in the names' order. EXIT_REFUSED, after an error for each,
 * where one isn't there. */
int named_choose(const struct named *kind, const cJSON *list, int count, char **names, cJSON *chosen);
bool named_changes(const char *verb); /* create, update, delete */
/* Does that to one; the answer, which the caller deletes. NULL with *err. */
cJSON *named_change(const struct named *kind, struct client *client, const char *verb, const char *name,
                    const cJSON *body, struct error *err);

#endif
