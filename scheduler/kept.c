/*
 * Playing rows back. Invariant: the core is what the rows up to last_row say, or the play has failed and the
 * core is thrown away.
 */
#include "scheduler/kept.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/core/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct segment {
    uint64_t first_seq;
    int64_t now_ms;
};

struct play {
    struct journal_reader *reader;
    struct kept_report *report;
    struct segment *segments; /* oldest first */
    uint32_t segment_count;
    struct core *core;
    struct core *decider; /* NULL: nothing is decided again */
    struct core_row *row;
    struct core_decisions *recorded, *decided;
    uint64_t until_ms;
    struct error error;
};

static void add_segment(void *data, uint64_t first_seq, int64_t now_ms)
{
    struct play *p = data;
    p->segments = xrealloc(p->segments, (p->segment_count + 1) * sizeof *p->segments);
    p->segments[p->segment_count++] = (struct segment){first_seq, now_ms};
}

static bool begin(struct play *p, struct error *err)
{
    *p->report = (struct kept_report){0};
    p->row = xcalloc(1, sizeof *p->row);
    p->recorded = core_decisions_create();
    p->decided = core_decisions_create();
    if (!p->recorded || !p->decided)
        return error_set(err, ERROR_INTERNAL, "no memory to play the journal back");
    return journal_reader_hold(p->reader, err) && journal_read_segments(p->reader, add_segment, p, err);
}

static struct core *finish(struct play *p, bool ok)
{
    struct core *core = take_ptr(p->core);
    if (!ok) {
        core_destroy(core);
        core = NULL;
    }
    core_destroy(p->decider);
    core_decisions_destroy(p->recorded);
    core_decisions_destroy(p->decided);
    free(p->row);
    free(p->segments);
    return core;
}

/* ---- where to begin ---- */

static bool note_first(void *data, const struct journal_row *row)
{
    *(uint64_t *)data = row->seq;
    return false;
}

/* True where nothing was ever dropped: the rows lead from an empty core on. */
static bool from_the_start(struct play *p)
{
    uint64_t first = 0;
    struct error none = {0};
    return journal_read_rows(p->reader, 1, note_first, &first, &none) && first <= 1;
}

/* The last segment that begins at or before that time; -1: there is none. */
static int64_t segment_before(const struct play *p, uint64_t at_ms)
{
    int64_t found = -1;
    for (uint32_t i = 0; i < p->segment_count; i++) {
        if (p->segments[i].now_ms >= 0 && (uint64_t)p->segments[i].now_ms <= at_ms)
            found = i;
    }
    return found;
}

/* *first_seq: the row that follows. */
static bool open_core(struct play *p, int64_t segment, uint64_t *first_seq, struct error *err)
{
    *first_seq = 1;
    if (segment >= 0) {
        *first_seq = p->segments[segment].first_seq;
        p->core = journal_read_checkpoint(p->reader, *first_seq, err);
        return p->core != NULL;
    }
    p->core = core_create(&(struct core_capacity){0});
    return p->core || error_set(err, ERROR_INTERNAL, "no memory for the core");
}

/* ---- rows ---- */

static bool compare_checkpoint(struct play *p, uint64_t seq)
{
    for (uint32_t i = 0; i < p->segment_count; i++) {
        if (p->segments[i].first_seq != seq)
            continue;
        struct core *kept = journal_read_checkpoint(p->reader, seq, &p->error);
        bool same = kept && core_hash(kept) == core_hash(p->core);
        if (kept && !same)
            error_set(&p->error, ERROR_INTERNAL, "the checkpoint before row %llu isn't what the rows lead to",
                      (unsigned long long)seq);
        core_destroy(kept);
        p->report->checkpoints++;
        return same;
    }
    return true;
}

static void decide_again(struct play *p, const struct journal_row *row)
{
    bool room = core_make_room(p->decider, &p->row->event);
    if (room)
        core_step(p->decider, p->row->now_ms, &p->row->event, p->decided);
    if (room && core_hash(p->decider) == row->hash)
        return;
    if (!p->report->decided_otherwise++)
        p->report->otherwise_first = row->seq;
    if (!core_copy(p->decider, p->core)) { /* the next ones are decided from what was recorded */
        core_destroy(p->decider);
        p->decider = NULL;
    }
}

static const char *apply(struct play *p, const struct journal_row *row)
{
    if (!core_make_room(p->core, &p->row->event))
        return "there is no memory for it";
    const char *wrong = core_apply(p->core, p->row->now_ms, &p->row->event, p->recorded);
    if (!wrong && core_hash(p->core) != row->hash)
        wrong = "the state after it has another hash than was recorded";
    return wrong;
}

static bool fail(struct play *p, uint64_t seq, const char *wrong)
{
    return error_set(&p->error, ERROR_INTERNAL, "journal row %llu can't be played back: %s",
                     (unsigned long long)seq, wrong);
}

static bool play_row(void *data, const struct journal_row *row)
{
    struct play *p = data;
    struct kept_report *report = p->report;
    const char *wrong = core_row_decode(row->bytes, row->length, p->row, p->recorded);
    if (!wrong && p->row->core_version != CORE_VERSION)
        wrong = "another version of the core decided it";
    if (wrong)
        return fail(p, row->seq, wrong);
    uint64_t now = core_now(p->core) > p->row->now_ms ? core_now(p->core) : p->row->now_ms;
    if (now > p->until_ms)
        return false;
    if (p->decider && report->rows && !compare_checkpoint(p, row->seq))
        return false;
    wrong = apply(p, row);
    if (wrong)
        return fail(p, row->seq, wrong);
    if (p->decider)
        decide_again(p, row);
    if (!report->rows++) {
        report->first_row = row->seq;
        report->first_ms = core_now(p->core);
    }
    report->kinds[p->row->event.kind]++;
    report->last_row = row->seq;
    report->last_ms = core_now(p->core);
    return true;
}

static bool play(struct play *p, uint64_t first_seq, struct error *err)
{
    if (!journal_read_rows(p->reader, first_seq, play_row, p, err))
        return false;
    if (!p->error.code)
        return true;
    if (err)
        *err = p->error;
    return false;
}

struct core *kept_verify(struct journal_reader *r, struct kept_report *report, struct error *err)
{
    struct play p = {.reader = r, .report = report, .until_ms = UINT64_MAX};
    uint64_t first_seq;
    bool ok = begin(&p, err);
    ok = ok && open_core(&p, from_the_start(&p) || !p.segment_count ? -1 : 0, &first_seq, err);
    if (ok) {
        p.decider = core_create(&(struct core_capacity){0});
        ok = p.decider && core_copy(p.decider, p.core);
        ok = ok || error_set(err, ERROR_INTERNAL, "no memory for a second core");
    }
    ok = ok && play(&p, first_seq, err);
    const char *wrong = ok ? core_check(p.core) : NULL;
    if (wrong)
        ok = error_set(err, ERROR_INTERNAL, "the state after row %llu is not sound: %s",
                       (unsigned long long)report->last_row, wrong);
    return finish(&p, ok);
}

struct core *kept_first(struct journal_reader *r, uint64_t *first_seq, struct error *err)
{
    struct kept_report unused;
    struct play p = {.reader = r, .report = &unused};
    bool ok =
        begin(&p, err) && open_core(&p, from_the_start(&p) || !p.segment_count ? -1 : 0, first_seq, err);
    return finish(&p, ok);
}

static bool note_time(void *data, const struct journal_row *row)
{
    struct play *p = data;
    if (!core_row_decode(row->bytes, row->length, p->row, p->recorded))
        p->until_ms = p->row->now_ms;
    return false;
}

/* When the first row was written, or the first kept state; 0: there is none. The play is over. */
static int64_t first_ms(struct play *p)
{
    struct error none = {0};
    p->until_ms = 0;
    if (!from_the_start(p))
        return p->segment_count ? p->segments[0].now_ms : 0;
    (void)journal_read_rows(p->reader, 1, note_time, p, &none);
    return (int64_t)p->until_ms;
}

static bool too_early(struct play *p, struct error *err)
{
    char day[32];
    int64_t first = first_ms(p);
    time_t at = (time_t)(first / 1000);
    struct tm tm;
    if (!first || !localtime_r(&at, &tm) || !strftime(day, sizeof day, "%F %T", &tm))
        return error_set(err, ERROR_NOT_FOUND, "the journal begins after that moment");
    error_set(err, ERROR_NOT_FOUND, "the journal begins after that moment: it is kept from %s on", day);
    return error_hint(err, "berth replay --at \"%s\"", day);
}

struct core *kept_moment(struct journal_reader *r, uint64_t at_ms, struct kept_report *report,
                         struct error *err)
{
    struct play p = {.reader = r, .report = report, .until_ms = at_ms};
    uint64_t first_seq;
    bool ok = begin(&p, err);
    int64_t segment = ok ? segment_before(&p, at_ms) : -1;
    if (ok && segment < 0 && !from_the_start(&p))
        ok = too_early(&p, err);
    ok = ok && open_core(&p, segment, &first_seq, err) && play(&p, first_seq, err);
    if (ok && segment < 0 && !report->rows)
        ok = too_early(&p, err);
    if (ok && !report->rows)
        report->last_row = first_seq - 1;
    return finish(&p, ok);
}
