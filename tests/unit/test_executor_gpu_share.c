/* executor/gpu_share: tasks of one executor share a GPU up to the whole of it, and its lock stays held till
 * the last of them ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/gpu_lock.h"
#include "executor/gpu_share.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char uuid[64]; /* of this run alone: locks are machine-wide */

static struct order *order_of(const char *task, int milli)
{
    struct error err = {0};
    _cleanup_free_ char *text = xasprintf(
        "{\"task\":\"%s\",\"epoch\":1,\"principal\":\"alice\",\"lease\":{\"memory_bytes\":1,\"gpus\":[{"
        "\"uuid\":\"%s\",\"index\":0,\"milli\":%d}]},\"log_path\":\"/s/l\",\"outputs_path\":\"/s/o\","
        "\"spec\":{\"command\":\"x\"}}",
        task, uuid, milli);
    _cleanup_json_ cJSON *json = json_parse(text, strlen(text), &err);
    struct order *order = order_parse(json, &err);
    if (!order)
        fail_msg("%s", err.message);
    return order;
}

struct fixture {
    struct gpu_shares shares;
    struct order *half, *third, *rest, *whole; /* 500, 300, 200 and 1000 thousandths of one GPU */
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    gpu_shares_init(&f->shares);
    f->half = order_of("1.1.0", 500);
    f->third = order_of("2.1.0", 300);
    f->rest = order_of("3.1.0", 200);
    f->whole = order_of("4.1.0", 1000);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gpu_shares_finish(&f->shares);
    order_destroy(f->half);
    order_destroy(f->third);
    order_destroy(f->rest);
    order_destroy(f->whole);
    free(f);
    return 0;
}

static bool join(struct fixture *f, const struct order *order)
{
    struct error err = {0};
    bool ok = gpu_shares_join(&f->shares, order, "/nonexistent", &err);
    assert_true(ok || err.code == ERROR_CONFLICT);
    return ok;
}

static void shares_add_up_to_the_whole_and_no_further(void **state)
{
    struct fixture *f = *state;
    assert_true(join(f, f->half));
    assert_true(join(f, f->half)); /* the same task again */
    assert_false(join(f, f->whole));
    assert_true(join(f, f->third));
    assert_true(join(f, f->rest));
    struct order *least = order_of("5.1.0", 1);
    assert_false(join(f, least));
    order_destroy(least);
    gpu_shares_leave(&f->shares, "1.1.0");
    gpu_shares_leave(&f->shares, "1.1.0");
    assert_false(join(f, f->whole));
    gpu_shares_leave(&f->shares, "2.1.0");
    gpu_shares_leave(&f->shares, "3.1.0");
    assert_true(join(f, f->whole));
    assert_false(join(f, f->rest));
}

static void adopted_tasks_count_whatever_they_have(void **state)
{
    struct fixture *f = *state;
    gpu_shares_adopt(&f->shares, f->whole, "/nonexistent");
    gpu_shares_adopt(&f->shares, f->half, "/nonexistent");
    assert_false(join(f, f->rest));
    gpu_shares_leave(&f->shares, "4.1.0");
    assert_true(join(f, f->rest));
}

static void the_lock_is_held_until_the_last_share_ends_whichever_that_is(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    assert_true(join(f, f->half) && join(f, f->third));
    int first = gpu_shares_lock(&f->shares, f->half, 0, &err);
    assert_true(first >= 0);
    assert_int_equal(gpu_lock_take(uuid, &err), -1); /* so another Berth has it */
    int second = gpu_shares_lock(&f->shares, f->third, 0, &err);
    assert_true(second >= 0 && second != first);
    assert_true(fcntl(second, F_GETFD) & FD_CLOEXEC);
    close(first);
    gpu_shares_leave(&f->shares, "1.1.0");
    assert_true(gpu_lock_look(uuid).held);
    assert_int_equal(gpu_lock_take(uuid, &err), -1);
    gpu_shares_leave(&f->shares, "2.1.0");
    assert_true(gpu_lock_look(uuid).held); /* its shim lives */
    close(second);
    assert_false(gpu_lock_look(uuid).held);
}

static void a_whole_gpu_is_locked_by_its_shim_alone(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    assert_true(join(f, f->whole));
    int fd = gpu_shares_lock(&f->shares, f->whole, 0, &err);
    assert_true(fd >= 0);
    close(fd);
    assert_false(gpu_lock_look(uuid).held);
}

static void a_gpu_that_another_berth_holds_is_shared_with_nobody(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    _cleanup_close_ int others = gpu_lock_take(uuid, &err);
    gpu_shares_adopt(&f->shares, f->half, "/nonexistent"); /* its shim is dead: it has nothing to give */
    assert_true(join(f, f->third));
    assert_int_equal(gpu_shares_lock(&f->shares, f->third, 0, &err), -1);
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_non_null(strstr(err.message, "is held by"));
}

int main(void)
{
    snprintf(uuid, sizeof uuid, "GPU-share-%d", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shares_add_up_to_the_whole_and_no_further, set_up, tear_down),
        cmocka_unit_test_setup_teardown(adopted_tasks_count_whatever_they_have, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_lock_is_held_until_the_last_share_ends_whichever_that_is, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_whole_gpu_is_locked_by_its_shim_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gpu_that_another_berth_holds_is_shared_with_nobody, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
