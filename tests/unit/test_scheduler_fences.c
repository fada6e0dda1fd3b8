/* What a machine's power supplies say about whether it may sleep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "scheduler/fences.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[64];

static void supply(const char *name, const char *type, const char *scope)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/%s/type", folder, name);
    assert_true(fs_write_atomic(AT_FDCWD, path, type, strlen(type), 0600, NULL));
    snprintf(path, sizeof path, "%s/%s/scope", folder, name);
    if (scope)
        assert_true(fs_write_atomic(AT_FDCWD, path, scope, strlen(scope), 0600, NULL));
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/berth-fences-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fs_remove_tree(AT_FDCWD, folder, NULL) ? 0 : -1;
}

static void a_machine_with_a_battery_of_its_own_may_sleep_and_no_other(void **state)
{
    (void)state;
    assert_false(fences_may_sleep("/nonexistent/power_supply"));
    assert_false(fences_may_sleep(folder));
    supply("AC", "Mains\n", NULL);
    supply("hidpp_battery_0", "Battery\n", "Device\n"); /* a mouse's */
    assert_false(fences_may_sleep(folder));
    supply("BAT0", "Battery\n", NULL);
    assert_true(fences_may_sleep(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_with_a_battery_of_its_own_may_sleep_and_no_other,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
