/* Words of a command line: what a name may look like, checked before anything is asked of a Berth. */
#ifndef BERTH_CLI_WORDS_H
#define BERTH_CLI_WORDS_H

#include "base/error.h"

#include <stdbool.h>

#define WORD_NAME_MAX 255 /* bytes of a name of anything but a job (JOB_NAME_MAX) */

enum word_kind {
    WORD_TEXT, /* UTF-8: all that is sent is JSON */
    WORD_PATH, /* any bytes, at least one */
    WORD_NAME, /* of a user, size, node, ...: one line of UTF-8 without a slash */
    WORD_JOB,  /* a job: [USER/]NAME[#N][@INDEX], or its id */
    WORD_ANY,  /* a word of a command: whoever sends it looks at it */
};

/* `what` names the word for the user: "--workspace", "job name". ERROR_INVALID otherwise. */
bool word_check(enum word_kind kind, const char *what, const char *word, struct error *err);
/* The kind of an option's value by its name in the help ("NAME", "DIR"); NULL is text. */
enum word_kind word_kind_of(const char *value_name);

#endif
