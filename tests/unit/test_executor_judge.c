/* executor/shim/judge: what is said of an end, for each order in which a command ends, is told to and is
 * killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "executor/shim/judge.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    UNTOLD,
    TOLD,
    KILLED,
    UNBEGUN
}; /* how the command ended: by itself, after it was told to, with all of its task, before it began */

enum { MILD, EXPIRED, FORCE, NO_GRACE }; /* what killed it, if anything */

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order of the table below */
struct row {
    const char *name;
    int how, code, signal;
    const char *stop; /* why the shim ended it, or wanted to */
    int kill;
    int64_t left;
    uint64_t oom_kills;
    bool log_over;
    const char *kind;
    int end_code;
    const char *text, *note; /* parts of them; NULL: there is none */
};

static const struct row rows[] = {
    {"ends well", UNTOLD, 0, 0, NULL, 0, 0, 0, 0, "", 0, NULL, NULL},
    {"fails", UNTOLD, 7, 0, NULL, 0, 0, 0, 0, "exit", 7, "exit status 7", NULL},
    {"dies of a signal", UNTOLD, 0, SIGSEGV, NULL, 0, 0, 0, 0, "signal", 139, "SIGSEGV", NULL},
    {"is killed with its container", KILLED, 0, 0, NULL, 0, 0, 0, 0, "signal", 137, "not known", NULL},
    {"leaves a process", UNTOLD, 0, 0, NULL, 0, 1, 0, 0, "", 0, NULL, "1 process (sleep) still ran"},
    {"leaves several and fails", UNTOLD, 3, 0, NULL, 0, 3, 0, 0, "exit", 3, "exit status 3",
     "3 processes (sleep, ...) still ran"},
    {"ended before a cancel came", UNTOLD, 0, 0, "cancel", 0, 0, 0, 0, "", 0, NULL, NULL},
    {"failed before a cancel came", UNTOLD, 2, 0, "cancel", 0, 0, 0, 0, "exit", 2, "exit status 2", NULL},
    {"ended before a cancel by force", UNTOLD, 0, 0, "cancel", 1, 0, 0, 0, "", 0, NULL, NULL},
    {"ended before its time limit", UNTOLD, 0, 0, "time_limit", 0, 1, 0, 0, "", 0, NULL, "still ran"},
    {"ended before it was preempted", UNTOLD, 0, 0, "preempt", 0, 0, 0, 0, "", 0, NULL, NULL},
    {"ended before its log was over", UNTOLD, 0, 0, "log_limit", 0, 0, 0, 1, "", 0, NULL,
     "the rest is dropped"},
    {"saves when canceled", TOLD, 0, 0, "cancel", 0, 0, 0, 0, "canceled", 0, "ended on request (cancel)",
     NULL},
    {"saves, a helper does not end", TOLD, 0, 0, "cancel", 1, 0, 0, 0, "canceled", 0,
     "ended on request (cancel)", "after the command had ended"},
    {"saves at its time limit, a helper does not end", TOLD, 0, 0, "time_limit", 1, 0, 0, 0, "time_limit", 0,
     "time limit of 60 s reached", "after the command had ended"},
    {"is deaf to a cancel", KILLED, 0, 0, "cancel", 1, 0, 0, 0, "canceled", 137, "did not end in the grace",
     NULL},
    {"is deaf at its time limit", KILLED, 0, 0, "time_limit", 1, 0, 0, 0, "time_limit", 137,
     "did not end in the grace", NULL},
    {"is canceled before it began", UNBEGUN, 0, 0, "cancel", NO_GRACE, 0, 0, 0, "canceled", 125,
     "stopped before it started (cancel)", NULL},
    {"is canceled by force before it began", UNBEGUN, 0, 0, "cancel", FORCE, 0, 0, 0, "canceled", 125,
     "stopped before it started (cancel)", NULL},
    {"is preempted before it began", UNBEGUN, 0, 0, "preempt", NO_GRACE, 0, 0, 0, "preempted", 125,
     "its place was needed", NULL},
    {"is canceled by force", KILLED, 0, 0, "cancel", FORCE, 0, 0, 0, "canceled", 137,
     "killed on request (cancel --force)", NULL},
    {"saves, a helper is killed by force", TOLD, 0, 0, "cancel", FORCE, 0, 0, 0, "canceled", 0,
     "ended on request (cancel)", "when the kill came"},
    {"has no grace period", KILLED, 0, 0, "cancel", NO_GRACE, 0, 0, 0, "canceled", 137,
     "killed at once, without a grace", NULL},
    {"dies of the signal to end", TOLD, 0, SIGTERM, "preempt", 0, 0, 0, 0, "preempted", 143, "preempted",
     NULL},
    {"writes on past its log's limit", TOLD, 0, SIGTERM, "log_limit", 0, 0, 0, 1, "log_limit", 143, "1K",
     NULL},
    {"loses a child to memory and ends well", UNTOLD, 0, 0, NULL, 0, 0, 1, 0, "", 0, NULL,
     "1 process was killed for memory: peak 60M of limit 64M"},
    {"loses two and ends well", UNTOLD, 0, 0, NULL, 0, 0, 2, 0, "", 0, NULL,
     "2 processes were killed for memory"},
    {"loses a child to memory and fails", UNTOLD, 1, 0, NULL, 0, 0, 1, 0, "oom", 1, "out of memory", NULL},
    {"loses a child to memory, then is canceled", TOLD, 0, 0, "cancel", 0, 0, 1, 0, "canceled", 0,
     "on request", "1 process was killed for memory"},
};

static void each_order_of_events_has_its_reason_and_notes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct shim s = {.spec = {.time_limit_ms = 60000, .log_limit_bytes = 1024, .memory_bytes = 64 << 20},
                         .log_over = r->log_over};
        s.outcome = (struct outcome){.payload_started = r->how != UNBEGUN,
                                     .payload_exited = r->how != KILLED && r->how != UNBEGUN,
                                     .told = r->how == TOLD,
                                     .code = r->code,
                                     .signal = r->signal,
                                     .stop_reason = r->stop,
                                     .forced = r->kill != MILD,
                                     .grace_expired = r->kill == EXPIRED,
                                     .force_asked = r->kill == FORCE,
                                     .left = r->left,
                                     .left_name = "sleep"};
        struct cgroup_usage u = {
            .known = true, .oom_kills = r->oom_kills, .peak_bytes = 60 << 20, .limit_bytes = 64 << 20};
        struct verdict v = {0};
        judge(&s, &u, "", &v);
        print_message("%s: %s, %d: %s; %s\n", r->name, v.kind, v.code, v.text, v.n_notes ? v.notes[0] : "");
        assert_string_equal(v.kind, r->kind);
        assert_int_equal(v.code, r->end_code);
        assert_true(r->text ? strstr(v.text, r->text) != NULL : !*v.text);
        assert_int_equal(v.n_notes, r->note != NULL);
        assert_true(!r->note || strstr(v.notes[0], r->note));
        assert_true(r->how == KILLED || !strstr(v.text, "grace period"));
        assert_true(r->kill == EXPIRED || !strstr(v.text, "did not end"));
    }
}

static void all_notes_fit(void **state)
{
    (void)state;
    struct shim s = {.log_over = true};
    s.outcome = (struct outcome){.payload_started = true,
                                 .payload_exited = true,
                                 .told = true,
                                 .stop_reason = "cancel",
                                 .forced = true,
                                 .left = 1};
    struct cgroup_usage u = {.oom_kills = UINT64_MAX, .peak_bytes = UINT64_MAX, .limit_bytes = UINT64_MAX};
    struct verdict v = {0};
    judge(&s, &u, "", &v);
    assert_int_equal(v.n_notes, VERDICT_NOTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_order_of_events_has_its_reason_and_notes),
        cmocka_unit_test(all_notes_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
