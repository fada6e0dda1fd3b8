/* Who changed what: each route that changes something is known to have its lines, and no reading of a user's
 * or a job's lines looks at others'. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "scheduler/audit.h"
#include "scheduler/journal_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- routes ---- */

/* A route that changes something is here with the kinds of its lines, or with the reason why it has none. */
static const struct {
    const char *path, *kinds, *none;
} changes[] = {
    {"/v1/shutdown", "shutdown", NULL},
    {"/v1/jobs", "submit", NULL},
    {"/v1/jobs/batch", "cancel,hold,release,update", NULL},
    {"/v1/jobs/{job}/update", "hold,release,update", NULL},
    {"/v1/jobs/{job}/cancel", "cancel", NULL},
    {"/v1/jobs/{job}/stdin", NULL, "what a terminal session types changes nothing of the scheduler's"},
    {"/v1/jobs/{job}/resize", NULL, "the size of a terminal session's window"},
    {"/v1/jobs/{job}/signal", "signal", NULL},
    {"/v1/jobs/{job}/results/delete", "results delete", NULL},
    {"/v1/blobs/missing", NULL, "a question"},
    {"/v1/blobs/{sha}", NULL, "an upload, which the submit that follows names"},
    {"/v1/nodes", "node add", NULL},
    {"/v1/nodes/{node}/use", "node drain,node resume,node lost", NULL},
    {"/v1/nodes/{node}/update", "node update", NULL},
    {"/v1/storage", "storage", NULL},
    {"/v1/policy", "policy set", NULL},
    {"/v1/quotas", "quota set,quota remove", NULL},
    {"/v1/licences", "licence set", NULL},
    {"/v1/shares", "share set,share remove", NULL},
    {"/v1/sizes", "size create", NULL},
    {"/v1/sizes/{size}/update", "size update", NULL},
    {"/v1/sizes/{size}/delete", "size delete", NULL},
    {"/v1/families/{family}", "family", NULL},
    {"/v1/workspaces", "workspace create", NULL},
    {"/v1/workspaces/{workspace}/update", "workspace update", NULL},
    {"/v1/workspaces/{workspace}/delete", "workspace delete", NULL},
    {"/v1/quota-requests", "quota request", NULL},
    {"/v1/quota-requests/{request}", "quota approve,quota deny,quota withdraw", NULL},
    {"/v1/reservations", "reserve,reserve delete", NULL},
};
#define CHANGES (sizeof changes / sizeof *changes)

static bool lists(const char *kinds, const char *kind)
{
    _cleanup_free_ char *all = xasprintf(",%s,", kinds ? kinds : ""), *one = xasprintf(",%s,", kind);
    return strstr(all, one) != NULL;
}

static void every_route_that_changes_something_has_its_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < people_route_count; i++) {
        const struct http_route *route = &people_routes[i];
        size_t at = 0;
        while (at < CHANGES && strcmp(changes[at].path, route->path) != 0)
            at++;
        if (strcmp(route->method, "GET") != 0 && at == CHANGES)
            fail_msg("%s %s: call audit_add in its handler, and name the kind here", route->method,
                     route->path);
    }
}

static void every_kind_is_some_routes(void **state)
{
    (void)state;
    for (size_t k = 0; audit_kind(k); k++) {
        size_t at = 0;
        while (at < CHANGES && !lists(changes[at].kinds, audit_kind(k)))
            at++;
        if (at == CHANGES)
            fail_msg("no route leaves lines of the kind %s", audit_kind(k));
    }
    for (size_t at = 0; at < CHANGES; at++) {
        _cleanup_free_ char *kinds = xstrdup(changes[at].kinds);
        char *rest = kinds;
        assert_true(!changes[at].kinds != !changes[at].none);
        for (char *kind; (kind = strsep(&rest, ","));)
            if (!audit_kind_check(kind, NULL))
                fail_msg("%s: there is no kind %s", changes[at].path, kind);
    }
}

/* ---- reading ---- */

struct lines {
    char folder[64];
    struct journal_db db;
};

static void put(struct lines *l, uint32_t principal, const char *user, uint64_t job, uint32_t owner,
                bool open)
{
    struct error err = {0};
    struct journal_op op = {.kind = OP_AUDIT, .id = principal, .now_ms = 1000, .name = (char *)user};
    struct journal_op who = {.kind = OP_PRINCIPAL, .id = principal, .name = (char *)user, .next = &op};
    op.extra = (char *)"update";
    op.request = op.doc = (char *)"{}";
    op.audit = (struct journal_audit){.job = job, .owner = owner, .open = open};
    if (!journal_db_commit(&l->db, &who, &err))
        fail_msg("%s", err.message);
}

static int begin(void **state)
{
    static struct lines l;
    struct error err = {0};
    snprintf(l.folder, sizeof l.folder, "/tmp/berth-audit-XXXXXX");
    if (!mkdtemp(l.folder) || !journal_db_open(&l.db, l.folder, &err))
        return -1;
    put(&l, 1, "ada", 7, 1, false);  /* 1: hers, of her job */
    put(&l, 2, "bob", 8, 2, false);  /* 2 */
    put(&l, 3, "root", 7, 1, false); /* 3: root's, of ada's job */
    put(&l, 3, "root", 0, 0, true);  /* 4: everybody's */
    put(&l, 3, "root", 0, 2, false); /* 5: a limit of bob's */
    put(&l, 1, "ada", 0, 1, true);   /* 6: hers, which everybody sees: once */
    *state = &l;
    return 0;
}

static int finish(void **state)
{
    struct lines *l = *state;
    struct error err = {0};
    journal_db_close(&l->db);
    return fs_remove_tree(AT_FDCWD, l->folder, &err) ? 0 : -1;
}

static bool note(void *data, const struct journal_audit *line)
{
    buf_printf(data, "%llu ", (unsigned long long)line->id);
    return true;
}

static void each_reader_gets_his_lines_by_every_filter(void **state)
{
    struct lines *l = *state;
    static const struct {
        struct journal_audit_filter filter;
        const char *ids;
    } cases[] = {
        {{.all = true}, "6 5 4 3 2 1 "},
        {{.all = true, .before = 5}, "4 3 2 1 "},
        {{.all = true, .user = "root"}, "5 4 3 "},
        {{.all = true, .user = "typo"}, ""},
        {{.all = true, .job = 7}, "3 1 "},
        {{.all = true, .job = 7, .user = "ada"}, "1 "},
        {{.all = true, .until_ms = 999}, ""},
        {{.all = true, .what = "cancel"}, ""},
        {{.reader = 1}, "6 4 3 1 "},
        {{.reader = 2}, "6 5 4 2 "},
        {{.reader = 2, .before = 5}, "4 2 "},
        {{.reader = 2, .user = "root"}, "5 4 "},
        {{.reader = 2, .job = 7}, ""},
        {{.reader = 1, .job = 7}, "3 1 "},
        {{.reader = 0}, "6 4 "},
        {{.reader = 0, .user = "root"}, "4 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct journal_audit_filter filter = cases[i].filter;
        _cleanup_buf_ struct buf ids = {0};
        bool kept = false;
        filter.limit = 10;
        struct journal_reader *reader = journal_reader_open(l->folder, &err);
        if (!reader || !journal_read_audit(reader, &filter, note, &ids, &kept, &err))
            fail_msg("%s", err.message);
        journal_reader_close(reader);
        assert_true(kept);
        if (strcmp(ids.data ? ids.data : "", cases[i].ids) != 0)
            fail_msg("case %zu: %s, not %s", i, ids.data, cases[i].ids);
    }
}

/* Walks an index from where it begins, and sorts nothing, so that what is read is what is shown. */
static void no_filter_looks_at_others_lines(void **state)
{
    struct lines *l = *state;
    static const struct journal_audit_filter filters[] = {
        {.all = true},           {.all = true, .user = "u"},
        {.all = true, .job = 1}, {.all = true, .job = 1, .user = "u"},
        {.reader = 1},           {.reader = 1, .user = "u"},
        {.reader = 1, .job = 1}, {.reader = 1, .job = 1, .user = "u"},
    };
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct error err = {0};
        const char *sql = journal_audit_sql(&filters[i]);
        _cleanup_free_ char *explain = xasprintf("EXPLAIN QUERY PLAN %s", sql);
        sqlite3_stmt *s = journal_db_prepare(l->db.handle, explain, &err);
        assert_non_null(s);
        while (sqlite3_step(s) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(s, 3);
            bool owns = !strstr(step, " audit") || strstr(step, "INDEX audit_") ||
                        (filters[i].all && !filters[i].user && !filters[i].job);
            if (strstr(step, "SCAN") || strstr(step, "TEMP B-TREE") || !owns)
                fail_msg("%s: %s", sql, step);
        }
        sqlite3_finalize(s);
    }
}

static void a_journal_from_before_has_no_lines(void **state)
{
    struct lines *l = *state;
    struct error err = {0};
    struct journal_audit_filter filter = {.all = true, .limit = 10};
    bool kept = true;
    assert_true(journal_db_exec(l->db.handle, "DROP TABLE audit", &err));
    struct journal_reader *reader = journal_reader_open(l->folder, &err);
    assert_non_null(reader);
    if (!journal_read_audit(reader, &filter, note, NULL, &kept, &err))
        fail_msg("%s", err.message);
    journal_reader_close(reader);
    assert_false(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_that_changes_something_has_its_lines),
        cmocka_unit_test(every_kind_is_some_routes),
        cmocka_unit_test_setup_teardown(each_reader_gets_his_lines_by_every_filter, begin, finish),
        cmocka_unit_test_setup_teardown(no_filter_looks_at_others_lines, begin, finish),
        cmocka_unit_test_setup_teardown(a_journal_from_before_has_no_lines, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
