/*
 * Tables that fit the terminal: columns shrink from the one that says so, text from other people is made
 * harmless, colours are only there on a terminal. Piped, nothing is cut.
 */
#ifndef BERTH_CLI_TABLE_H
#define BERTH_CLI_TABLE_H

#include "cli/term.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table_column {
    const char *title;
    bool right;  /* aligned to the right */
    int shrinks; /* the highest gives columns first where the terminal is narrow; 0 never does */
    int least;   /* columns that it keeps (at least its title's) */
    int drops;   /* the highest goes wholly where shrinking is not enough; 0 never does */
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    char **cells; /* owned texts, row by row */
    enum term_colour *colours;
    size_t cell_count, capacity;
    bool untitled;                 /* goes on where another page ended */
    int widths[TABLE_COLUMNS_MAX]; /* of the first page, once it is written */
};

void table_init(struct table *table, const struct table_column *columns, size_t column_count);
void table_finish(struct table *table);
/* Cells are added row by row, from left to right. The text is copied; NULL or "" shows as "-". */
void table_add(struct table *table, const char *text, enum term_colour colour);
void table_addf(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* `width` 0: no limit. */
void table_write(struct table *table, int width, bool colours, struct buf *out);
/* To standard output, as its terminal, if any, wants it. */
void table_print(struct table *table);
/* Behind a page that was written: drops its rows. The next has no titles, and stands under those of the first
 * page. */
void table_next_page(struct table *table);

#endif
