/* Options of one verb as a table: parsing, help and completion all read it. */
#ifndef BERTH_CLI_OPTIONS_H
#define BERTH_CLI_OPTIONS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define OPT_LIST_MAX 4096 /* repeats of one option */

enum opt_kind {
    OPT_FLAG,   /* bool */
    OPT_STRING, /* const char *, borrowed from argv; the last one wins */
    OPT_LIST,   /* struct opt_list: may be repeated */
    OPT_NUMBER, /* struct opt_number: a whole number from 0 to 2^53 */
};

struct opt {
    const char *name;  /* without the dashes */
    char letter;       /* short form, or 0 */
    const char *value; /* name of the value in the help; NULL for a flag */
    const char *help;  /* NULL hides it */
    enum opt_kind kind;
    unsigned offset; /* of the field in the args struct */
};

struct opt_list {
    const char **items; /* owned array of borrowed strings */
    size_t count;
};

struct opt_number {
    long long value;
    bool given;
};

/* The name of a flag row (without help, so that it is not shown) that says that "--" stood before the
 * operands. */
#define OPT_DASHES "-"

/*
 * Parses argv[0..argc) into `args`. Operands are moved, in their order, to the front of argv, and *operands
 * is their number. "--" ends the options; with stop_at_operand the first operand does too. ERROR_INVALID with
 * a message for the user otherwise. A help option (--help, -h) sets *help and stops.
 */
bool opt_parse(const struct opt *table, void *args, bool stop_at_operand, int argc, char **argv,
               int *operands, bool *help, struct error *err);
/* Frees the lists in args. */
void opt_finish(const struct opt *table, void *args);
/* The options' part of a help text, wrapped to `width` columns. */
void opt_help(const struct opt *table, int width, struct buf *out);

#endif
