/* executor/work: what one principal's files hold up keeps no thread from another's. */
#include "executor/work.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MANY 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static int inside, most, ended, ended_before_other = -1;

/* As a directory that does not answer. */
static void hang(void *data)
{
    (void)data;
    pthread_mutex_lock(&lock);
    inside++;
    most = inside > most ? inside : most;
    while (!open_gate)
        pthread_cond_wait(&changed, &lock);
    inside--;
    pthread_mutex_unlock(&lock);
}

static void hung(void *data)
{
    (void)data;
    ended++;
}

static void look(void *data)
{
    (void)data;
}

static void looked(void *data)
{
    (void)data;
    ended_before_other = ended;
    pthread_mutex_lock(&lock);
    open_gate = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void hanging_files_of_one_do_not_delay_another(void **state)
{
    (void)state;
    char threads[8];
    uv_loop_t loop;
    struct work_turns turns;
    snprintf(threads, sizeof threads, "%d", WORK_THREADS);
    setenv("UV_THREADPOOL_SIZE", threads, 1);
    assert_int_equal(uv_loop_init(&loop), 0);
    work_turns_init(&turns, &loop);
    for (int i = 0; i < MANY; i++)
        work_start_in_turn(&turns, "alice", hang, hung, NULL);
    work_start_in_turn(&turns, "bob", look, looked, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(ended_before_other, 0);
    assert_int_equal(ended, MANY);
    assert_in_range(most, 1, WORK_OF_ONE_ALONE);
    work_turns_finish(&turns);
    uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hanging_files_of_one_do_not_delay_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
