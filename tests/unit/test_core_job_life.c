/* What a job holds and what becomes of it while it runs: who holds licences. */
#include "tests/unit/core_fixture.h"

static void licences_total(struct fixture *f, uint32_t id, uint32_t total)
{
    struct core_event event = {.kind = CORE_EVENT_LICENCES, .as.licences = {id, total}};
    fed(f, &event);
}

static void holders_of_a_licence_are_named_once_however_many_tasks_they_have(void **state)
{
    struct fixture *f = *state;
    struct job_id holders[4] = {{0}};
    licences_total(f, 3, 5);
    for (uint32_t node = 1; node <= 3; node++)
        node_up(f, node, 4, 0, GIB);
    assert_int_equal(core_licence_holders(f->core, 3, holders, 2), 0);
    struct core_submit gang = wanting(1, 1, 0, 0);
    gang.instance_count = 3;
    gang.licences = (struct resource_licences){{3}, {2}};
    submit(f, gang);
    struct core_submit other = wanting(2, 1, 0, 0);
    other.licences = (struct resource_licences){{3}, {1}};
    submit(f, other);
    uint32_t node = started(f, 2)->as.start.node.v;
    submit(f, wanting(3, 1, 0, 0));
    other = wanting(4, 1, 0, 0);
    other.licences = (struct resource_licences){{3}, {2}};
    submit(f, other);
    other = wanting(5, 1, 0, 0);
    other.licences = (struct resource_licences){{3}, {1}};
    submit(f, other);
    assert_int_equal(core_licence_holders(f->core, 3, holders, 2), 3); /* more than fit are counted */
    assert_int_equal(holders[2].v, 0);
    assert_int_equal(core_licence_holders(f->core, 3, holders, 4), 3);
    assert_int_equal(holders[0].v + holders[1].v + holders[2].v, 1 + 2 + 4);
    lives(f, 2, 1, node);
    assert_non_null(started(f, 5)); /* it has what the second one held */
    assert_int_equal(core_licence_holders(f->core, 3, holders, 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(holders_of_a_licence_are_named_once_however_many_tasks_they_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
