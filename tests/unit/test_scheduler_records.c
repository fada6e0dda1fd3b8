/* Job records, inventories, the defaults of submission, names of people. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "proto/jobspec.h"
#include "scheduler/arrays.h"
#include "scheduler/attempts.h"
#include "scheduler/blobs.h"
#include "scheduler/daemon.h"
#include "scheduler/inventory.h"
#include "scheduler/job_names.h"
#include "scheduler/jobs.h"
#include "scheduler/nodes.h"
#include "scheduler/principals.h"
#include "scheduler/submit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define GIB (INT64_C(1) << 30)

static cJSON *parse(const char *text)
{
    struct error err = {0};
    cJSON *json = json_parse(text, strlen(text), &err);
    if (!json)
        fail_msg("%s", err.message);
    return json;
}

/* ---- records ---- */

static struct job *full_job(void)
{
    struct job *job = job_create(7, "some-name");
    job->principal = 3;
    job->state = JOB_FAILED;
    job->reason = CORE_REASON_ENDED;
    job->attempt = 2;
    job->submitted_ms = 10;
    job->started_ms = 20;
    job->ended_ms = 30;
    job->fixed = xstrdup("{\"display_name\":\"x\",\"principal\":\"alice\"}");
    job->uid = 1000;
    job->time_limit_ms = 5000;
    job->grace_ms = 100;
    job->wants_stdin = true;
    memset(job->manifest, 'a', 64);
    job->has_exit_code = true;
    job->exit_code = 137;
    job->cause = END_OOM;
    job->cause_text = xstrdup("out of memory \"quoted\"\n");
    job->evidence = xstrdup("{\"oom_kill\":1}");
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        struct task *task = job_add_task(job, attempt, 0);
        task->node = 4;
        task->node_name = xstrdup("local");
        task->state = TASK_EXITED;
        task->exited = task->released = task->collected = task->exit_known = true;
        task->signal = 9;
        task->log_bytes = 1000 * attempt;
        task->lease = xstrdup("{\"cores\":[0,1]}");
    }
    job_note(job, 15, "fetching");
    job_advise(job, "ask for more memory");
    job_advise(job, "ask for more memory");
    return job;
}

static void record_comes_back_from_the_journal_as_it_was(void **state)
{
    (void)state;
    struct error err = {0};
    struct job *job = full_job();
    _cleanup_free_ char *doc = job_doc_write(job);
    struct journal_job row = {.id = 7,
                              .name = "some-name",
                              .principal = 3,
                              .state = JOB_FAILED,
                              .final = true,
                              .submitted_ms = 10,
                              .ended_ms = 30,
                              .fixed = job->fixed,
                              .doc = doc};
    struct job *again = job_doc_read(&row, &err);
    assert_non_null(again);
    _cleanup_free_ char *second = job_doc_write(again);
    assert_string_equal(doc, second);
    _cleanup_buf_ struct buf a = {0}, b = {0};
    job_object_write(job, JOB_OBJECT_FULL | JOB_OBJECT_PRIVATE, NULL, &a);
    job_object_write(again, JOB_OBJECT_FULL | JOB_OBJECT_PRIVATE, NULL, &b);
    assert_string_equal(a.data, b.data);
    assert_int_equal(again->uid, 1000);
    assert_true(again->wants_stdin);
    assert_int_equal(again->advice_count, 1);
    job_destroy(job);
    job_destroy(again);
}

static struct job *an_array(const char *indices)
{
    struct array_indices a;
    assert_true(array_parse(indices, &a, NULL));
    struct job *job = job_create(7, "sweep");
    job->principal = 3;
    job->state = JOB_RUNNING;
    job->submitted_ms = 10;
    job->fixed = xstrdup("{\"display_name\":\"sweep\"}");
    job->array = arrays_create(&a);
    return job;
}

static void an_arrays_record_comes_back_with_its_counts_and_failed_elements(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_table t = {0};
    jobs_init(&t);
    struct job *array = an_array("10-20:2,99%3"), *element = arrays_make_element(array, 7);
    jobs_add(&t, array);
    assert_string_equal(element->name, "sweep@99");
    assert_int_equal(element->id, 14);
    element->state = JOB_FAILED;
    arrays_count_end(&t, element);
    _cleanup_free_ char *doc = job_doc_write(array), *small = job_doc_write(element);
    struct journal_job row = {
        .id = 7, .name = "sweep", .state = JOB_RUNNING, .fixed = array->fixed, .doc = doc};
    struct job *again = job_doc_read(&row, &err);
    assert_non_null(again);
    _cleanup_free_ char *second = job_doc_write(again);
    assert_string_equal(doc, second);
    assert_int_equal(again->array->limit, 3);
    assert_int_equal(again->array->failed, 1);
    assert_int_equal(again->array->failed_index[0], 99);
    job_destroy(again);
    row.id = 14;
    row.name = "sweep@99";
    row.doc = small;
    again = job_doc_read(&row, &err);
    assert_int_equal(again->array_job, 7);
    assert_int_equal(again->array_index, 99);
    job_destroy(again);
    row.doc = "{\"v\":1,\"array\":{\"indices\":\"7-1\"}}";
    assert_null(job_doc_read(&row, &err));
    job_destroy(element);
    jobs_finish(&t);
}

static void an_element_is_found_before_it_began_and_without_a_trace(void **state)
{
    (void)state;
    struct error err = {0};
    struct daemon d = {0};
    struct job_table *t = &d.jobs;
    jobs_init(t);
    t->next_id = 8;
    struct job *array = an_array("1-3"), *foreign = job_create(8, "other");
    jobs_add(t, array);
    struct job *found = jobs_find(&d, 0, "sweep@2", &err);
    assert_non_null(found);
    assert_true(found->unborn && found->state == JOB_QUEUED);
    assert_null(jobs_get(t, found->id));
    assert_string_equal(jobs_find(&d, 0, "7@3", &err)->name, "sweep@3");
    assert_null(jobs_find(&d, 0, "sweep@4", &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_null(jobs_find(&d, 0, "sweep@x", &err));
    /* Of an array that has ended the numbers may be others'. */
    array->state = JOB_CANCELED;
    jobs_end(t, array);
    t->next_id = 9;
    foreign->state = JOB_RUNNING;
    jobs_add(t, foreign);
    found = jobs_find(&d, 0, "sweep@1", &err);
    assert_string_equal(found->name, "sweep@1");
    assert_int_equal(found->state, JOB_CANCELED);
    assert_null(jobs_find(&d, 0, "other@1", &err));
    jobs_finish(t);
}

static void an_array_names_no_more_failed_elements_than_its_record_has_room_for(void **state)
{
    (void)state;
    struct job_table t = {0};
    jobs_init(&t);
    struct job *array = an_array("0-999");
    jobs_add(&t, array);
    for (uint32_t n = 1; n <= ARRAYS_FAILED_LISTED + 1; n++) {
        struct job *element = arrays_make_element(array, n);
        element->state = JOB_FAILED;
        arrays_count_end(&t, element);
        job_destroy(element);
    }
    assert_int_equal(array->array->failed_listed, ARRAYS_FAILED_LISTED);
    assert_int_equal(array->array->failed, ARRAYS_FAILED_LISTED + 1);
    array->state = JOB_FAILED;
    arrays_say_end(array);
    assert_string_equal(array->cause_text, "101 of 1000 elements failed, the first was sweep@0");
    array->state = JOB_RUNNING;
    jobs_finish(&t);
}

static void record_of_a_newer_version_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct journal_job row = {.id = 1, .name = "n", .state = JOB_QUEUED, .fixed = "{}", .doc = "{\"v\":2}"};
    assert_null(job_doc_read(&row, &err));
    assert_int_equal(err.code, ERROR_VERSION);
}

static void object_shows_the_present_attempt_and_all_of_them_where_asked(void **state)
{
    (void)state;
    struct job *job = full_job();
    _cleanup_buf_ struct buf text = {0};
    job_object_write(job, JOB_OBJECT_FULL | JOB_OBJECT_PRIVATE, "\"extra\":1", &text);
    _cleanup_json_ cJSON *o = parse(text.data);
    assert_int_equal(json_int(o, "extra", 0), 1);
    assert_string_equal(json_str(o, "display_name", ""), "x");
    assert_int_equal(json_int(o, "log_bytes", 0), 2000);
    assert_int_equal(cJSON_GetArraySize(json_get(o, "tasks")), 1);
    assert_int_equal(cJSON_GetArraySize(json_get(o, "attempts")), 2);
    assert_string_equal(json_str(json_get(o, "cause"), "kind", ""), "oom");
    assert_int_equal(json_int(json_get(json_get(o, "cause"), "evidence"), "oom_kill", 0), 1);
    assert_int_equal(json_int(cJSON_GetArrayItem(json_get(o, "tasks"), 0), "exit_code", 0), 137);
    job_destroy(job);
}

/* Every member that an object may have; a new one must be added here by who may see it. */
static const char *const seen_by_all[] = {
    "id",           "name",       "state",        "reason",     "promised_start_ms",  "cause",
    "exit_code",    "attempt",    "attempts",     "started_ms", "ended_ms",           "tasks",
    "submitted_ms", "log_bytes",  "display_name", "principal",  "attempt_started_ms", "kept_until_ms",
    "number",       "superseded", "runs_as"};
static const char *const seen_by_owner[] = {"advice", "notes", "code"};

static bool is_in(const char *const *list, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

static void others_see_no_more_than_a_listing_needs(void **state)
{
    (void)state;
    struct job *job = full_job();
    free(job->fixed);
    job->fixed = xstrdup("{\"display_name\":\"}\\\",\\\"code\\\":1\",\"code\":{\"path\":\"/home/"
                         "s3cret\",\"git\":[{\"a\":\"}]\"}]},"
                         "\"principal\":\"alice\"}");
    free(job->cause_text);
    job->cause_text = xstrdup("s3cret text");
    job->evidence[2] = 's';
    job_note(job, 16, "s3cret note");
    job_advise(job, "s3cret advice");
    job->tasks[0].end = attempts_end_create(END_EXIT, 12, "s3cret end");
    _cleanup_buf_ struct buf all = {0}, others = {0};
    job_object_write(job, JOB_OBJECT_FULL | JOB_OBJECT_PRIVATE, NULL, &all);
    job_object_write(job, JOB_OBJECT_FULL, NULL, &others);
    assert_null(strstr(others.data, "s3cret"));
    _cleanup_json_ cJSON *whole = parse(all.data), *seen = parse(others.data);
    const cJSON *item;
    cJSON_ArrayForEach(item, whole)
    {
        bool open = is_in(seen_by_all, sizeof seen_by_all / sizeof *seen_by_all, item->string);
        if (!open && !is_in(seen_by_owner, sizeof seen_by_owner / sizeof *seen_by_owner, item->string))
            fail_msg("who may see %s?", item->string);
        if ((json_get(seen, item->string) != NULL) != open)
            fail_msg("others see %s: %d", item->string, !open);
    }
    assert_null(json_get(json_get(seen, "cause"), "evidence"));
    assert_string_equal(json_str(json_get(seen, "cause"), "text", ""), "out of memory");
    assert_string_equal(json_str(seen, "display_name", ""), "}\",\"code\":1");
    const cJSON *attempt = cJSON_GetArrayItem(json_get(seen, "attempts"), 0);
    assert_string_equal(json_str(json_get(attempt, "cause"), "kind", ""), "exit");
    assert_null(json_get(json_get(attempt, "cause"), "text"));
    job_destroy(job);
}

static void job_files_of_one_user_are_bounded_while_they_are_live(void **state)
{
    (void)state;
    struct job_table table = {0};
    struct error err = {0};
    const uint32_t big = UINT32_C(1) << 29;
    jobs_init(&table);
    for (uint64_t id = 1; id <= 2; id++) {
        char name[8];
        snprintf(name, sizeof name, "j%d", (int)id);
        struct job *job = job_create(id, name);
        job->state = JOB_QUEUED;
        job->principal = 7;
        job->file_bytes = big - (id == 2 ? 10 : 0);
        jobs_add(&table, job);
    }
    assert_true(jobs_admit(&table, 7, 10, &err));
    assert_false(jobs_admit(&table, 7, 11, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_non_null(strstr(err.message, "1023 MiB"));
    assert_true(jobs_admit(&table, 8, big, &err));
    struct job *first = jobs_get(&table, 1);
    first->state = JOB_CANCELED;
    jobs_end(&table, first);
    assert_true(jobs_admit(&table, 7, big, &err));
    jobs_remove(&table, jobs_get(&table, 2));
    assert_true(jobs_admit(&table, 7, JOB_LIVE_BYTES_MAX, &err));
    assert_false(jobs_admit(&table, 7, JOB_LIVE_BYTES_MAX + 1, &err));
    jobs_finish(&table);
}

static void a_node_s_note_is_no_reason_for_others(void **state)
{
    (void)state;
    struct job *job = full_job();
    _cleanup_buf_ struct buf all = {0}, others = {0};
    job->state = JOB_PREPARING;
    job_note(job, 16, "s3cret note");
    job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, NULL, &all);
    job_object_write(job, JOB_OBJECT_SHORT, NULL, &others);
    assert_non_null(strstr(all.data, "\"reason\":\"s3cret note\""));
    assert_null(strstr(others.data, "s3cret"));
    job_destroy(job);
}

static void the_end_of_an_attempt_comes_back_from_the_journal(void **state)
{
    (void)state;
    struct job *job = full_job();
    job->attempt = 1;
    attempts_end(job, CORE_REASON_RETRY, 1, 25);
    _cleanup_free_ char *doc = job_doc_write(job);
    struct journal_job row = {.id = 7, .name = "n", .state = JOB_QUEUED, .fixed = job->fixed, .doc = doc};
    struct job *again = job_doc_read(&row, NULL);
    assert_non_null(again);
    assert_int_equal(again->tasks[0].end->kind, END_OOM);
    assert_int_equal(again->tasks[0].end->at_ms, 25);
    assert_string_equal(again->tasks[0].end->text, "out of memory \"quoted\"\n");
    assert_null(again->tasks[1].end);
    job_destroy(job);
    job_destroy(again);
}

static void notes_are_kept_up_to_their_limit(void **state)
{
    (void)state;
    struct job *job = job_create(1, "n");
    for (int i = 0; i < JOB_NOTES_MAX + 3; i++) {
        char text[32];
        snprintf(text, sizeof text, "note %d", i);
        job_note(job, i, text);
    }
    assert_int_equal(job->note_count, JOB_NOTES_MAX);
    assert_string_equal(job->notes[0].text, "note 3");
    job_destroy(job);
}

static const struct job_table none; /* in which no name is taken */

static void generated_names_are_valid_and_differ(void **state)
{
    (void)state;
    char name[64], last[64] = "";
    for (uint64_t id = 1; id < 3000; id++) {
        struct error err = {0};
        jobs_make_name(&none, 0, id, name);
        assert_true(job_name_valid(name, &err));
        assert_string_not_equal(name, last);
        memcpy(last, name, sizeof last);
    }
    jobs_make_name(&none, 0, JOB_ID_MAX, name);
    assert_true(job_name_valid(name, NULL));
}

static void live_and_ended_jobs_change_lists(void **state)
{
    (void)state;
    struct job_table t = {0};
    jobs_init(&t);
    for (uint64_t id = 1; id <= JOBS_ENDED_KEPT + 10; id++) {
        char name[64];
        jobs_make_name(&none, 0, id, name);
        struct job *job = job_create(id, name);
        jobs_add(&t, job);
        assert_int_equal(t.live_count, 1);
        job->state = JOB_COMPLETED;
        jobs_end(&t, job);
        assert_int_equal(t.live_count, 0);
        assert_ptr_equal(jobs_get(&t, id), job); /* until its end is durable, whatever the limit */
        if (id % 2)
            jobs_ended(&t, job);
    }
    assert_true(t.ended_count <= JOBS_ENDED_KEPT + 1); /* the last one is not durable yet */
    assert_null(jobs_get(&t, 1));
    assert_non_null(jobs_get(&t, 2)); /* not durable yet: it stays */
    jobs_finish(&t);
}

/* ---- inventories ---- */

static const char machine[] =
    "{\"version\":1,\"memory_bytes\":107374182400,\"cores\":["
    "{\"id\":0,\"numa\":0,\"cpus\":[0,4]},{\"id\":1,\"numa\":0,\"cpus\":[1,5]},"
    "{\"id\":2,\"numa\":1,\"cpus\":[2,6]},{\"id\":3,\"numa\":1,\"cpus\":[3,7]}],"
    "\"gpus\":[{\"index\":0,\"uuid\":\"GPU-00000000-0000-0000-0000-000000000001\",\"memory_bytes\":1,"
    "\"numa\":0},"
    "{\"index\":1,\"uuid\":\"GPU-00000000-0000-0000-0000-000000000002\",\"memory_bytes\":1,\"numa\":1}]}";

static void inventory_is_handed_to_the_core_with_the_share_of_jobs(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_json_ cJSON *json = parse(machine);
    struct inventory *inv = inventory_parse(json, &err);
    assert_non_null(inv);
    assert_int_equal(inv->cpu_count, 8);
    struct core_inventory *core = inventory_for_core(inv);
    assert_int_equal(core->core_count, 4);
    assert_int_equal(core->gpu_count, 2);
    assert_true(core->memory_bytes == 107374182400 / 100 * 90);
    assert_null(core_event_check(
        &(struct core_event){.kind = CORE_EVENT_NODE_UP, .as.node = {.node = {1}, .inventory = core}}));
    free(core);
    inventory_destroy(inv);
}

static void nonsense_in_an_inventory_is_refused(void **state)
{
    (void)state;
    /* clang-format off */
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"memory_bytes\":0,\"cores\":[{\"id\":0,\"cpus\":[0]}]}",
        "{\"memory_bytes\":1,\"cores\":[]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":1024,\"cpus\":[0]}]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[]}]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[0]},{\"id\":0,\"cpus\":[1]}]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[-1]}]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[0]}],\"gpus\":[{}]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[0]}],\"gpus\":[{\"uuid\":\"a\\\"b\"}]}",
        "{\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[0]}],\"gpus\":[{\"uuid\":\"G\"},{\"uuid\":\"G\"}]}",
        "{\"version\":2,\"memory_bytes\":1,\"cores\":[{\"id\":0,\"cpus\":[0]}]}",
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        _cleanup_json_ cJSON *json = parse(bad[i]);
        if (inventory_parse(json, &err))
            fail_msg("taken: %s", bad[i]);
        assert_true(err.code != ERROR_NONE);
    }
}

static void gpu_keys_are_the_uuids_own_bytes_or_their_hash(void **state)
{
    (void)state;
    uint8_t a[RESOURCE_GPU_KEY_BYTES], b[RESOURCE_GPU_KEY_BYTES];
    inventory_gpu_key("GPU-00112233-4455-6677-8899-aabbccddeeff", a);
    for (int i = 0; i < 16; i++)
        assert_int_equal(a[i], i * 0x11);
    inventory_gpu_key("MIG-GPU-00112233/1/0", a);
    inventory_gpu_key("MIG-GPU-00112233/2/0", b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- submission ---- */

static struct submit_resources fill(const char *file, const char *inventory)
{
    struct error err = {0};
    _cleanup_json_ cJSON *json = parse(file);
    struct job_spec *spec = job_spec_parse(json, NULL, &err);
    if (!spec)
        fail_msg("%s", err.message);
    struct node node = {.in_session = true};
    struct node *items[] = {&node};
    struct node_table nodes = {.items = items, .count = 1};
    _cleanup_json_ cJSON *m = inventory ? parse(inventory) : NULL;
    if (m)
        node.inventory = inventory_parse(m, &err);
    struct submit_resources out;
    submit_fill_resources(&nodes, spec, &out);
    inventory_destroy(node.inventory);
    job_spec_destroy(spec);
    return out;
}

static void job_that_asks_for_nothing_gets_its_share(void **state)
{
    (void)state;
    uint64_t memory = 107374182400 / 100 * 90;
    struct submit_resources r = fill("{\"command\":\"x\"}", machine);
    assert_int_equal(r.request.gpu_milli, 1000);
    assert_int_equal(r.request.cores, 2);
    assert_int_equal(r.cpus, 4);
    assert_true(r.request.memory_bytes <= memory / 2 && r.request.memory_bytes > memory / 2 - (2 << 20));
    r = fill("{\"command\":\"x\",\"gpus\":0}", machine);
    assert_int_equal(r.request.gpu_milli, 0);
    assert_int_equal(r.request.cores, 1);
    assert_true(r.request.memory_bytes <= memory / 4 && r.request.memory_bytes > memory / 4 - (2 << 20));
    r = fill("{\"command\":\"x\"}", NULL);
    assert_int_equal(r.request.cores, 1);
    assert_true(r.request.memory_bytes > 0);
}

#define PROCESSES(n)                                                                                         \
    "{\"command\":\"x\",\"distribution\":{\"type\":\"pytorch\",\"process_count_per_instance\":" #n "}}"
#define PROCESSES_WITHOUT_GPUS(n)                                                                            \
    "{\"command\":\"x\",\"gpus\":0,\"distribution\":{\"type\":\"pytorch\",\"process_count_per_"              \
    "instance\":" #n "}}"

static void each_process_gets_its_own_as_far_as_the_node_has_so_many(void **state)
{
    (void)state;
    struct submit_resources r = fill(PROCESSES(2), machine); /* of two GPUs and four cores */
    assert_int_equal(r.request.gpu_milli, 2000);
    assert_int_equal(r.request.cores, 4);
    assert_int_equal(fill(PROCESSES(64), machine).request.gpu_milli, 2000);
    assert_int_equal(fill(PROCESSES_WITHOUT_GPUS(3), machine).request.cores, 3);
    assert_int_equal(fill(PROCESSES_WITHOUT_GPUS(64), machine).request.cores, 4);
    assert_int_equal(fill(PROCESSES(3), NULL).request.cores, 1);
}

static void asked_cpus_are_rounded_up_to_whole_cores_for_show(void **state)
{
    (void)state;
    struct submit_resources r = fill("{\"command\":\"x\",\"cpus\":3,\"memory\":\"2G\",\"gpus\":0}", machine);
    assert_int_equal(r.request.cpus, 3);
    assert_int_equal(r.request.cores, 0);
    assert_int_equal(r.cores, 2);
    assert_int_equal(r.cpus, 4);
    assert_true(r.request.memory_bytes == (uint64_t)(2 * GIB));
}

static void fixed_part_quotes_the_command_line(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_json_ cJSON *json = parse("{\"argv\":[\"python3\",\"a b.py\",\"it's\",\"\"]}");
    struct job_spec *spec = job_spec_parse(json, NULL, &err);
    assert_non_null(spec);
    struct submit_resources r = {.request = {.cores = 1, .memory_bytes = 1}, .cpus = 1, .cores = 1};
    _cleanup_free_ char *fixed = submit_fixed(spec, json, "name", "alice", &r, &(struct submit_names){0});
    _cleanup_json_ cJSON *o = parse(fixed);
    assert_string_equal(json_str(o, "command", ""), "python3 'a b.py' 'it'\\''s' ''");
    assert_string_equal(json_str(o, "display_name", ""), "name");
    assert_string_equal(json_str(o, "principal", ""), "alice");
    job_spec_destroy(spec);
}

/* ---- folders ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/berth-test-records-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fs_remove_tree(AT_FDCWD, folder, NULL) ? 0 : -1;
}

static void put(const char *path, const char *bytes, size_t n)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_true(fs_mkdirs(full, 0700, NULL));
    *slash = '/';
    assert_true(fs_write_atomic(AT_FDCWD, full, bytes, n, 0600, NULL));
}

static void manifest_names_the_blobs_of_its_files(void **state)
{
    (void)state;
    struct error err = {0};
    char sha[65], name[80], text[512];
    memset(sha, 'c', 64);
    sha[64] = '\0';
    assert_true(blobs_prepare(folder, &err));
    int n = snprintf(text, sizeof text,
                     "berth-tree 1\n40755 0 - d\n644 3 %064d a\n755 4 %064d b%%20c\n120000 1 - l\n", 2, 1);
    snprintf(name, sizeof name, "blobs/%.2s/%s", sha, sha + 2);
    put(name, text, (size_t)n);
    uint8_t(*shas)[32];
    size_t count;
    assert_true(blob_manifest_read(folder, sha, &shas, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(shas[0][31], 1);
    assert_int_equal(shas[1][31], 2);
    free(shas);
    n = snprintf(text, sizeof text, "berth-tree 2\n40755 0 - 17 d\n644 3 %064d -5 a\n120000 1 - 0 l\n", 2);
    put(name, text, (size_t)n);
    assert_true(blob_manifest_read(folder, sha, &shas, &count, &err));
    assert_int_equal(count, 1);
    free(shas);
    put(name, "berth-tree 3\n", 13);
    assert_false(blob_manifest_read(folder, sha, &shas, &count, &err));
    assert_int_equal(err.code, ERROR_VERSION);
    free(shas);
}

static void blob_names_are_lower_case_digits_of_the_right_length(void **state)
{
    (void)state;
    char sha[66];
    memset(sha, 'a', 64);
    sha[64] = '\0';
    assert_true(blob_sha_valid(sha));
    sha[63] = 'A';
    assert_false(blob_sha_valid(sha));
    sha[63] = '\0';
    assert_false(blob_sha_valid(sha));
    strcpy(sha, "../../../../../../../../../../../../../../../../../../etc/passwd");
    assert_false(blob_sha_valid(sha));
}

static void principals_are_found_by_name_and_id(void **state)
{
    (void)state;
    struct principal_table t = {0};
    principals_load(&t, 5, "alice");
    assert_int_equal(principals_find(&t, "alice"), 5);
    assert_int_equal(principals_find(&t, "bob"), 0);
    assert_string_equal(principals_name(&t, 5), "alice");
    principals_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_comes_back_from_the_journal_as_it_was),
        cmocka_unit_test(record_of_a_newer_version_is_refused),
        cmocka_unit_test(an_arrays_record_comes_back_with_its_counts_and_failed_elements),
        cmocka_unit_test(an_element_is_found_before_it_began_and_without_a_trace),
        cmocka_unit_test(an_array_names_no_more_failed_elements_than_its_record_has_room_for),
        cmocka_unit_test(object_shows_the_present_attempt_and_all_of_them_where_asked),
        cmocka_unit_test(others_see_no_more_than_a_listing_needs),
        cmocka_unit_test(a_node_s_note_is_no_reason_for_others),
        cmocka_unit_test(job_files_of_one_user_are_bounded_while_they_are_live),
        cmocka_unit_test(the_end_of_an_attempt_comes_back_from_the_journal),
        cmocka_unit_test(notes_are_kept_up_to_their_limit),
        cmocka_unit_test(generated_names_are_valid_and_differ),
        cmocka_unit_test(live_and_ended_jobs_change_lists),
        cmocka_unit_test(inventory_is_handed_to_the_core_with_the_share_of_jobs),
        cmocka_unit_test(nonsense_in_an_inventory_is_refused),
        cmocka_unit_test(gpu_keys_are_the_uuids_own_bytes_or_their_hash),
        cmocka_unit_test(job_that_asks_for_nothing_gets_its_share),
        cmocka_unit_test(each_process_gets_its_own_as_far_as_the_node_has_so_many),
        cmocka_unit_test(asked_cpus_are_rounded_up_to_whole_cores_for_show),
        cmocka_unit_test(fixed_part_quotes_the_command_line),
        cmocka_unit_test_setup_teardown(manifest_names_the_blobs_of_its_files, make_folder, remove_folder),
        cmocka_unit_test(blob_names_are_lower_case_digits_of_the_right_length),
        cmocka_unit_test(principals_are_found_by_name_and_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
