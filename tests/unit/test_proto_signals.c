/* proto/signals: names of signals, and those that no task can take notice of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/signals.h"

#include <signal.h>

static void a_signal_has_a_name_with_or_without_sig_and_a_number(void **state)
{
    (void)state;
    static const char *const names[] = {"SIGUSR1", "USR1", "usr1", "sigusr1", "10"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(signal_by_name(names[i]), SIGUSR1);
    assert_int_equal(signal_by_name("TERM"), SIGTERM);
    assert_int_equal(signal_by_name("64"), 64);
}

static void what_is_no_signal_or_can_t_be_handled_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "SIG",  "SIGNOSUCH", "0",       "-10",
                                      "+10",  "65",   "10x",       " 10",     "9",
                                      "19",   "KILL", "STOP",      "SIGKILL", "99999999999999999999",
                                      "USR1 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(signal_by_name(bad[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_has_a_name_with_or_without_sig_and_a_number),
        cmocka_unit_test(what_is_no_signal_or_can_t_be_handled_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
