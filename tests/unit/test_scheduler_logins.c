/* Who a uid is: looked up off the loop, kept for a while, refused where nobody knows it. */
#include "scheduler/logins.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define GHOST 4000000000u /* a uid that the fake name service does not know */

static struct {
    uv_loop_t loop;
    struct logins *logins;
    atomic_int asked, running, most;
    atomic_bool hangs, fails;
    unsigned changed;
} fix;

static enum login_verdict fake_look_up(uid_t uid, char name[HTTP_USER_NAME_MAX], int *error)
{
    int running = atomic_fetch_add(&fix.running, 1) + 1;
    if (running > atomic_load(&fix.most))
        atomic_store(&fix.most, running);
    atomic_fetch_add(&fix.asked, 1);
    while (atomic_load(&fix.hangs))
        usleep(1000);
    atomic_fetch_sub(&fix.running, 1);
    if (atomic_load(&fix.fails)) {
        *error = EIO;
        return LOGIN_FAILED;
    }
    snprintf(name, HTTP_USER_NAME_MAX, "user%u", (unsigned)uid);
    return uid == GHOST || uid == geteuid() ? LOGIN_NONE : uid >= 100000 ? LOGIN_SUBORDINATE : LOGIN_FOUND;
}

static void on_changed(void *data, uid_t uid)
{
    (void)data;
    (void)uid;
    fix.changed++;
}

static int start(void **state)
{
    (void)state;
    memset(&fix, 0, sizeof fix);
    uv_loop_init(&fix.loop);
    struct logins_options options = {.look_up = fake_look_up, .changed = on_changed};
    fix.logins = logins_create(&fix.loop, &options);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    logins_destroy(fix.logins);
    uv_run(&fix.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fix.loop), 0);
    atomic_store(&fix.hangs, false);
    while (atomic_load(&fix.running)) /* abandoned threads use the fixture */
        usleep(1000);
    return 0;
}

/* Asks, and asks again when the look-up has ended. */
static enum http_user_state settle(uid_t uid, char name[HTTP_USER_NAME_MAX], struct error *err)
{
    enum http_user_state state;
    while ((state = logins_find(fix.logins, uid, name, err)) == HTTP_USER_LATER)
        uv_run(&fix.loop, UV_RUN_ONCE);
    return state;
}

static void a_name_is_looked_up_once_and_kept(void **state)
{
    (void)state;
    char name[HTTP_USER_NAME_MAX];
    struct error err = {0};
    assert_int_equal(logins_find(fix.logins, 7, name, &err), HTTP_USER_LATER);
    assert_int_equal(settle(7, name, &err), HTTP_USER_KNOWN);
    assert_string_equal(name, "user7");
    assert_int_equal(settle(7, name, &err), HTTP_USER_KNOWN);
    assert_int_equal(atomic_load(&fix.asked), 1);
    assert_int_equal(fix.changed, 1);
}

static void a_uid_without_a_login_is_refused_but_our_own(void **state)
{
    (void)state;
    char name[HTTP_USER_NAME_MAX];
    struct error err = {0};
    assert_int_equal(settle(GHOST, name, &err), HTTP_USER_REFUSED);
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.message, "uid 4000000000 has no login"));
    assert_int_equal(settle(100000, name, &err), HTTP_USER_REFUSED);
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.message, "uid 100000 is a subordinate id (/etc/subuid)"));
    char own[32];
    snprintf(own, sizeof own, "uid:%u", (unsigned)geteuid());
    assert_int_equal(settle(geteuid(), name, &err), HTTP_USER_KNOWN);
    assert_string_equal(name, own);
}

static void a_look_up_that_fails_names_nobody(void **state)
{
    (void)state;
    char name[HTTP_USER_NAME_MAX];
    struct error err = {0};
    atomic_store(&fix.fails, true);
    assert_int_equal(settle(7, name, &err), HTTP_USER_REFUSED);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_int_equal(settle(geteuid(), name, &err), HTTP_USER_REFUSED);
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    atomic_store(&fix.fails, false);
    while (settle(7, name, &err) != HTTP_USER_KNOWN) /* tried again after LOGIN_FAILED_MS */
        usleep(10000);
    assert_string_equal(name, "user7");
}

static void a_name_service_that_hangs_holds_up_nobody_who_is_known(void **state)
{
    (void)state;
    char name[HTTP_USER_NAME_MAX];
    struct error err = {0};
    assert_int_equal(settle(7, name, &err), HTTP_USER_KNOWN);
    atomic_store(&fix.hangs, true);
    for (uid_t uid = 1000; uid < 1000 + 2 * LOGIN_LOOKUPS_MAX; uid++)
        assert_int_equal(logins_find(fix.logins, uid, name, &err), HTTP_USER_LATER);
    assert_int_equal(settle(7, name, &err), HTTP_USER_KNOWN);
    assert_int_equal(settle(1000, name, &err), HTTP_USER_REFUSED); /* after LOGIN_WAIT_MS */
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_int_equal(atomic_load(&fix.most), LOGIN_LOOKUPS_MAX);
    atomic_store(&fix.hangs, false);
    for (uid_t uid = 1000; uid < 1000 + 2 * LOGIN_LOOKUPS_MAX; uid++)
        while (settle(uid, name, &err) != HTTP_USER_KNOWN)
            uv_run(&fix.loop, UV_RUN_ONCE);
}

static void uids_are_remembered_up_to_a_limit(void **state)
{
    (void)state;
    char name[HTTP_USER_NAME_MAX];
    struct error err = {0};
    for (uid_t uid = 1; uid <= LOGINS_MAX; uid++)
        assert_int_equal(settle(uid, name, &err), HTTP_USER_KNOWN);
    assert_int_equal(settle(1, name, &err), HTTP_USER_KNOWN);
    assert_int_equal(atomic_load(&fix.asked), LOGINS_MAX);
    assert_int_equal(settle(LOGINS_MAX + 1, name, &err), HTTP_USER_KNOWN); /* the oldest is forgotten */
    assert_int_equal(settle(2, name, &err), HTTP_USER_KNOWN);
    assert_int_equal(atomic_load(&fix.asked), LOGINS_MAX + 1);
    assert_int_equal(settle(1, name, &err), HTTP_USER_KNOWN);
    assert_int_equal(atomic_load(&fix.asked), LOGINS_MAX + 2);
}

static void ranges_of_subordinate_ids_are_read(void **state)
{
    (void)state;
    char path[] = "/tmp/berth-test-subuid-XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "alice:100000:65536\nbroken\nbob:x:7\n# note\n1000:300000:1\n";
    assert_int_equal(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    assert_false(login_is_subordinate(path, 99999));
    assert_true(login_is_subordinate(path, 100000));
    assert_true(login_is_subordinate(path, 165535));
    assert_false(login_is_subordinate(path, 165536));
    assert_true(login_is_subordinate(path, 300000));
    assert_false(login_is_subordinate(path, 300001));
    unlink(path);
    assert_false(login_is_subordinate(path, 100000));
}

static void the_machines_root_is_root(void **state)
{
    (void)state;
    char name[HTTP_USER_NAME_MAX];
    int error = 0;
    assert_int_equal(login_look_up(0, name, &error), LOGIN_FOUND);
    assert_string_equal(name, "root");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_looked_up_once_and_kept),
        TEST(a_uid_without_a_login_is_refused_but_our_own),
        TEST(a_look_up_that_fails_names_nobody),
        TEST(a_name_service_that_hangs_holds_up_nobody_who_is_known),
        TEST(uids_are_remembered_up_to_a_limit),
        cmocka_unit_test(ranges_of_subordinate_ids_are_read),
        cmocka_unit_test(the_machines_root_is_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
