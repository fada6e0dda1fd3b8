/* Tables. */
#include "cli/table.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"

#include <stdarg.h>
#include <string.h>

#define GAP 2

void table_init(struct table *table, const struct table_column *columns, size_t column_count)
{
    *table = (struct table){.columns = columns, .column_count = column_count};
}

static void drop_rows(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    table->cell_count = 0;
}

void table_next_page(struct table *table)
{
    drop_rows(table);
    table->untitled = true;
}

void table_finish(struct table *table)
{
    drop_rows(table);
    free(table->cells);
    free(table->colours);
    *table = (struct table){0};
}

void table_add(struct table *table, const char *text, enum term_colour colour)
{
    if (table->cell_count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = xrealloc(table->cells, table->capacity * sizeof *table->cells);
        table->colours = xrealloc(table->colours, table->capacity * sizeof *table->colours);
    }
    struct buf safe = {0};
    term_add_safe(&safe, text && *text ? text : "-", false);
    table->cells[table->cell_count] = buf_take(&safe);
    table->colours[table->cell_count++] = colour;
}

void table_addf(struct table *table, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    table_add(table, text.data, TERM_PLAIN);
    buf_finish(&text);
}

/* The widest cell of a column. */
static int natural_width(const struct table *table, size_t c)
{
    int width = term_columns(table->columns[c].title);
    for (size_t i = c; i < table->cell_count; i += table->column_count) {
        int n = term_columns(table->cells[i]);
        width = n > width ? n : width;
    }
    return width;
}

static int least_width(const struct table_column *column, int width)
{
    int least = term_columns(column->title);
    least = column->least > least ? column->least : least;
    return column->shrinks && least < width ? least : width;
}

/* Widths that fit; 0 for a column that is dropped. Columns go while even the least widths are too wide; then
 * the most willing column gives until it has its least, then the next. */
static void fit(const struct table *table, int width, int *widths)
{
    int total = -GAP, least_total = -GAP;
    for (size_t c = 0; c < table->column_count; c++) {
        widths[c] = natural_width(table, c);
        total += widths[c] + GAP;
        least_total += least_width(&table->columns[c], widths[c]) + GAP;
    }
    for (int level = 9; width && least_total > width && level > 0; level--)
        for (size_t c = 0; c < table->column_count && least_total > width; c++) {
            if (table->columns[c].drops != level)
                continue;
            total -= widths[c] + GAP;
            least_total -= least_width(&table->columns[c], widths[c]) + GAP;
            widths[c] = 0;
        }
    for (int level = 9; width && total > width && level > 0; level--)
        for (size_t c = 0; c < table->column_count && total > width; c++) {
            if (table->columns[c].shrinks != level || !widths[c])
                continue;
            int room = widths[c] - least_width(&table->columns[c], widths[c]);
            int give = room < total - width ? room : total - width;
            widths[c] -= give;
            total -= give;
        }
}

static void add_cell(struct buf *out, const char *text, int width, bool right, bool last,
                     enum term_colour colour, bool colours)
{
    size_t size = strlen(text) + 8;
    _cleanup_free_ char *cut = xmalloc(size);
    memcpy(cut, text, strlen(text) + 1);
    int used = term_cut(cut, size, width);
    if (right)
        buf_printf(out, "%*s", width - used, "");
    if (colours && colour != TERM_PLAIN)
        buf_printf(out, "%s%s" TERM_RESET, term_colour_code(colour), cut);
    else
        buf_add_str(out, cut);
    if (!last)
        buf_printf(out, "%*s", (right ? 0 : width - used) + GAP, "");
}

/* What a cell of a later page may take: one that is wider than all of the first page is cut only where its
 * column shrinks, and where the output ends at all; the last has all the rest of the line. */
static int cell_width(const struct table *table, size_t cell, int width, size_t last)
{
    size_t c = cell % table->column_count;
    int held = table->widths[c], natural = term_columns(table->cells[cell]), others = 0;
    if (natural <= held)
        return held;
    if (!width || !table->columns[c].shrinks)
        return natural;
    for (size_t i = 0; i < last; i++)
        others += table->widths[i] ? table->widths[i] + GAP : 0;
    return c == last && width - others > held ? width - others : held;
}

void table_write(struct table *table, int width, bool colours, struct buf *out)
{
    const int *widths = table->widths;
    size_t n = table->column_count, last = 0;
    if (n == 0)
        return;
    if (!table->untitled)
        fit(table, width, table->widths);
    for (size_t c = 0; c < n; c++)
        last = widths[c] ? c : last;
    for (size_t c = 0; c < n && !table->untitled; c++)
        if (widths[c])
            add_cell(out, table->columns[c].title, widths[c], table->columns[c].right, c == last, TERM_BOLD,
                     colours);
    if (!table->untitled)
        buf_add_char(out, '\n');
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t c = i % n;
        if (widths[c])
            add_cell(out, table->cells[i], cell_width(table, i, width, last), table->columns[c].right,
                     c == last, table->colours[i], colours);
        if (c + 1 == n)
            buf_add_char(out, '\n');
    }
}

void table_print(struct table *table)
{
    _cleanup_buf_ struct buf out = {0};
    bool colours = term_has_colour(STDOUT_FILENO);
    table_write(table, term_width(STDOUT_FILENO), colours, &out);
    print_coloured(PRINT_OUT, &out, colours);
}
