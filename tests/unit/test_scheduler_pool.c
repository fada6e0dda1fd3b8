/* scheduler/pool: one principal's work waits for its own, and for nobody else's. */
#include "base/error.h"
#include "scheduler/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define MANY 200

static struct pool pool;
static int ended, most_of_one;
static int end_of_other;

struct piece {
    uv_work_t work;
    uint32_t principal;
};

static void run(uv_work_t *work)
{
    (void)work;
}

static void after(uv_work_t *work, int status)
{
    struct piece *p = container_of(work, struct piece, work);
    (void)status;
    int now = 0;
    for (int i = 0; i < POOL_RUNNING_MAX; i++)
        now += pool.running[i].work && pool.running[i].principal == 1;
    most_of_one = now > most_of_one ? now : most_of_one;
    pool_end(&pool, work);
    ended++;
    if (p->principal == 2)
        end_of_other = ended;
    free(p);
}

static void begin(uint32_t principal)
{
    struct piece *p = calloc(1, sizeof *p);
    p->principal = principal;
    pool_begin(&pool, principal, &p->work, run, after);
}

static void a_flood_of_one_does_not_delay_another(void **state)
{
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    pool_init(&pool, &loop);
    for (int i = 0; i < MANY; i++)
        begin(1);
    begin(2);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(ended, MANY + 1);
    assert_int_equal(most_of_one, POOL_OF_ONE_MAX);
    assert_true(end_of_other <= POOL_RUNNING_MAX);
    assert_true(list_empty(&pool.waiting));
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_flood_of_one_does_not_delay_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
