/* Names by number: the same after a restart, with limits of each kind. */
#include "scheduler/daemon.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char folder[64];
static struct daemon d; /* its journal and names alone */

static void load_name(void *data, uint32_t kind, uint32_t id, const char *text)
{
    names_load(data, kind, id, text);
}

static void skip_principal(void *data, uint32_t id, const char *name)
{
    (void)data;
    (void)id;
    (void)name;
}

static void begin(void)
{
    struct error err = {0};
    struct journal_options options = {.folder = folder};
    struct journal_loader loader = {.data = &d.names, .principal = skip_principal, .name = load_name};
    memset(&d, 0, sizeof d);
    uv_loop_init(&d.loop);
    names_init(&d.names);
    d.journal = journal_open(&options, &err);
    d.core = d.journal ? journal_recover(d.journal, &d.jobs.next_id, &err) : NULL;
    if (!d.core || !journal_load(d.journal, &loader, &err) ||
        !journal_start(d.journal, &d.loop, d.core, NULL, NULL, NULL, &err))
        fail_msg("%s", err.message);
}

static void end(void)
{
    journal_stop(d.journal);
    uv_run(&d.loop, UV_RUN_DEFAULT);
    journal_close(d.journal);
    core_destroy(d.core);
    names_finish(&d.names);
    assert_int_equal(uv_loop_close(&d.loop), 0);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/var/tmp/berth-names-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    struct error err = {0};
    return fs_remove_tree(AT_FDCWD, folder, &err) ? 0 : 1;
}

static uint32_t number(enum name_kind kind, const char *name)
{
    struct error err = {0};
    uint32_t id = UINT32_MAX;
    if (!names_intern(&d, kind, name, &id, &err))
        fail_msg("%s: %s", name, err.message);
    return id;
}

static void a_name_keeps_its_number_over_a_restart(void **state)
{
    uint32_t id;
    (void)state;
    begin();
    assert_int_equal(number(NAME_LICENCE, "matlab"), 0);
    assert_int_equal(number(NAME_LICENCE, "abaqus"), 1);
    assert_int_equal(number(NAME_GPU_MODEL, "matlab"), 1);
    assert_int_equal(number(NAME_WORKSPACE, NAMES_DEFAULT_WORKSPACE), 0);
    assert_int_equal(number(NAME_WORKSPACE, "vision"), 1);
    assert_int_equal(number(NAME_LICENCE, "matlab"), 0);
    end();
    begin();
    assert_true(names_find(&d, NAME_LICENCE, "abaqus", &id));
    assert_int_equal(id, 1);
    assert_string_equal(names_text(&d, NAME_WORKSPACE, 1), "vision");
    assert_string_equal(names_text(&d, NAME_GPU_MODEL, 1), "matlab");
    assert_string_equal(names_text(&d, NAME_FABRIC, 1), "?");
    assert_false(names_find(&d, NAME_FABRIC, "matlab", &id));
    assert_int_equal(names_end(&d, NAME_LICENCE), 2);
    assert_int_equal(number(NAME_LICENCE, "third"), 2);
    end();
}

static void a_kind_has_as_many_names_as_the_core_has_numbers(void **state)
{
    struct error err = {0};
    char name[NAME_MAX_BYTES + 2];
    uint32_t id;
    (void)state;
    begin();
    for (uint32_t i = 0; i < RESOURCE_LICENCES_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(number(NAME_LICENCE, name), i);
    }
    assert_false(names_intern(&d, NAME_LICENCE, "one more", &id, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    for (uint32_t i = 1; i < RESOURCE_LABELS_MAX; i++) {
        snprintf(name, sizeof name, "m%u", i);
        assert_int_equal(number(NAME_GPU_MODEL, name), i);
    }
    assert_false(names_intern(&d, NAME_GPU_MODEL, "one more", &id, &err));
    memset(name, 'x', sizeof name);
    name[NAME_MAX_BYTES + 1] = '\0';
    assert_false(names_intern(&d, NAME_LABEL, name, &id, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    name[NAME_MAX_BYTES] = '\0';
    assert_int_equal(number(NAME_LABEL, name), 0);
    assert_false(names_intern(&d, NAME_LABEL, "", &id, &err));
    assert_false(names_intern(&d, NAME_LABEL, "a\nb", &id, &err));
    end();
}

static char seen_records[256]; /* "kind/key=doc " of each */

static void see_record(void *data, uint32_t kind, const char *key, const char *doc)
{
    (void)data;
    size_t n = strlen(seen_records);
    snprintf(seen_records + n, sizeof seen_records - n, "%u/%s=%s ", kind, key, doc);
}

static void a_record_is_what_was_written_last_over_a_restart(void **state)
{
    struct error err = {0};
    struct journal_options options = {.folder = folder};
    struct journal_loader loader = {.data = &d.names, .principal = skip_principal, .record = see_record};
    (void)state;
    begin();
    journal_add_record(d.journal, JOURNAL_SIZE, "a", "1");
    journal_add_record(d.journal, JOURNAL_SIZE, "gone", "2");
    journal_add_record(d.journal, JOURNAL_WORKSPACE, "a", "3");
    journal_add_record(d.journal, JOURNAL_SIZE, "a", "4");
    journal_add_record(d.journal, JOURNAL_SIZE, "gone", NULL);
    journal_add_record(d.journal, JOURNAL_SIZE, "never", NULL);
    end();
    seen_records[0] = '\0';
    d.journal = journal_open(&options, &err);
    d.core = d.journal ? journal_recover(d.journal, &d.jobs.next_id, &err) : NULL;
    if (!d.core || !journal_load(d.journal, &loader, &err))
        fail_msg("%s", err.message);
    assert_string_equal(seen_records, "1/a=4 3/a=3 ");
    journal_close(d.journal);
    core_destroy(d.core);
}

static void what_a_newer_berth_named_is_left_alone(void **state)
{
    (void)state;
    begin();
    names_load(&d.names, NAME_KIND_COUNT, 0, "unknown kind");
    names_load(&d.names, NAME_FAMILY, CORE_FAMILIES_MAX, "too high");
    assert_int_equal(names_end(&d, NAME_FAMILY), 1);
    names_load(&d.names, NAME_LICENCE, RESOURCE_LICENCES_MAX, "too high");
    assert_int_equal(names_end(&d, NAME_LICENCE), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_keeps_its_number_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kind_has_as_many_names_as_the_core_has_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_is_what_was_written_last_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_newer_berth_named_is_left_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
