/* The sizes that Berth brings are sound, stand in docs/SIZES.md as they are, and are changed by what a site
 * kept. */
#include "scheduler/sizes.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "proto/jobspec.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void the_documented_table_is_the_one_that_is_brought(void **state)
{
    _cleanup_buf_ struct buf text = {0};
    struct error err = {0};
    char path[4096], row[256];
    size_t rows = 0;
    (void)state;
    snprintf(path, sizeof path, "%s", __FILE__);
    char *end = strstr(path, "tests/unit/");
    assert_non_null(end);
    snprintf(end, sizeof path - (size_t)(end - path), "docs/SIZES.md");
    if (!fs_read_file(AT_FDCWD, path, 1 << 20, &text, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizes_builtin_count; i++) {
        const struct size_builtin *b = &sizes_builtin[i];
        bool restricted = family_builtin_restricted(b->family);
        snprintf(row, sizeof row, "| %s | %s | %u | %g | %u | %s%s%s |\n", b->name, b->family, b->cpus,
                 b->memory_gib, b->gpus, restricted ? "restricted" : "",
                 restricted && b->isolated ? ", " : "", b->isolated ? "isolated" : "");
        if (!strstr(text.data, row))
            fail_msg("docs/SIZES.md has no row: %s", row);
    }
    for (const char *p = text.data; (p = strstr(p, "\n| Standard_")); p++)
        rows++;
    assert_int_equal(rows, sizes_builtin_count);
}

static void each_is_one_that_a_site_could_have_made(void **state)
{
    struct size_table t;
    struct error err = {0};
    (void)state;
    sizes_init(&t);
    assert_int_equal(t.count, sizes_builtin_count); /* no name is there twice, in any case */
    for (size_t i = 0; i < t.count; i++) {
        const struct size *s = &t.items[i];
        assert_true(size_name_valid(s->name, &err));
        assert_true(s->cpus >= 1 && s->memory_bytes >= (uint64_t)JOB_MEMORY_MIN_BYTES && *s->family);
        assert_true(s->gpus <= RESOURCE_GPUS_MAX && (s->category == SIZE_GPU) == (s->gpus != 0));
    }
    sizes_finish(&t);
}

static void what_a_site_kept_stands_over_it(void **state)
{
    struct size_table t;
    (void)state;
    sizes_init(&t);
    size_t count = t.count;
    sizes_load(
        &t, "standard_nc6",
        "{\"name\":\"Standard_NC6\",\"family\":\"NC\",\"category\":\"gpu\",\"cpus\":5,"
        "\"memory_bytes\":1024,\"gpus\":1,\"gpu_model\":\"K80\",\"isolated\":true,\"price_hour\":0.5}");
    sizes_load(&t, "standard_nc12", "{\"removed\":true}");
    sizes_load(&t, "own", "{\"name\":\"Own\",\"family\":\"f\",\"cpus\":1,\"memory_bytes\":1}");
    assert_int_equal(t.count, count);
    const struct size *s = sizes_find(&t, "STANDARD_nc6");
    assert_non_null(s);
    assert_true(s->cpus == 5 && s->memory_bytes == 1024 && s->isolated && s->changed && s->price_hour == 0.5);
    assert_string_equal(s->gpu_model, "K80");
    assert_null(sizes_find(&t, "Standard_NC12"));
    assert_string_equal(sizes_find(&t, "own")->name, "Own");
    sizes_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_table_is_the_one_that_is_brought),
        cmocka_unit_test(each_is_one_that_a_site_could_have_made),
        cmocka_unit_test(what_a_site_kept_stands_over_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
