/* The lines of ctl and of the channel to init: a word, then numbers. */
#ifndef BERTH_SHIM_WORDS_H
#define BERTH_SHIM_WORDS_H

#include <stdint.h>

/* -1 where the line does not begin with `word`; else how many whole numbers (at most max) follow it, put into
 * out. *rest (may be NULL) points behind the last one. */
int words_after(const char *line, const char *word, int64_t *out, int max, const char **rest);

#endif
