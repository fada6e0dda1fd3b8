/* One process's exact bytes out of the log of several (docs/PROTOCOL.md: "[3] line", "[3]+piece"). */
#ifndef BERTH_CLI_PROCESS_LOG_H
#define BERTH_CLI_PROCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCESS_LOG_PREFIX_MAX 24 /* "[", a 64-bit number, "]", the mark, NUL */

/* Zeroed but for rank and fd; owns nothing. */
struct process_log {
    int64_t rank;
    int fd;          /* of the output */
    int write_error; /* errno; 0: it takes more */
    char prefix[PROCESS_LOG_PREFIX_MAX];
    size_t n;                           /* bytes of the prefix so far */
    bool body, mine, own_end, returned; /* of the record; returned: a newline after it belongs to it */
};

/* The next bytes of the log. False where the output takes no more. */
bool process_log_add(struct process_log *log, const char *bytes, size_t n);

#endif
