/*
 * Records of job arrays. The array's own record holds its indices and how its elements fare; an element has a
 * record from its beginning on (engine.c makes it with the core's decision), with the array's fixed part and
 * job file. Of an element that has not begun nothing is kept anywhere: a record of it is made when somebody
 * asks, and lives until the next time.
 */
#ifndef BERTH_SCHEDULER_ARRAYS_H
#define BERTH_SCHEDULER_ARRAYS_H

#include "proto/array.h"
#include "scheduler/jobs.h"

#define ARRAYS_RUNS_KNOWN 4      /* completed elements tell how long the next ones will take */
#define ARRAYS_FAILED_LISTED 100 /* indices of failed elements that an array's record names */

struct job_array {
    struct array_indices indices;
    uint32_t limit; /* elements at once; as many as there are: none */
    uint32_t waiting, live, completed, failed, canceled;
    uint32_t failed_listed;
    uint32_t runs;   /* completed elements whose run time is in the sum; after a crash some may lack */
    uint64_t run_ms; /* that sum */
    uint32_t failed_index[ARRAYS_FAILED_LISTED]; /* as they came */
};

/* Takes the indices over. */
struct job_array *arrays_create(struct array_indices *indices);
void arrays_destroy(struct job_array *a); /* takes NULL */
/* The job object's "array", and what the journal's doc holds of it. The caller owns the object. */
cJSON *arrays_write(const struct job_array *a);
struct job_array *arrays_read(const cJSON *o); /* NULL where it is damaged */

/* The record of element n (from 1), which begins. The caller adds it to the table. */
struct job *arrays_make_element(const struct job *array, uint32_t n);
/* The element with that index, which was written as `text`. NULL with *err. */
struct job *arrays_find(struct job_table *t, struct journal_reader *reader, const struct job *array,
                        const char *text, uint32_t index, struct error *err);
/* The record of an element that has no other; valid until the next call. */
struct job *arrays_unborn(struct job_table *t, const struct job *array, uint32_t n);

/* What the core says of a live array. */
void arrays_look(struct job *job, const struct core_job_view *view);
/* How long an element runs, by those that have completed; 0: not known yet. */
uint64_t arrays_mean_run_ms(const struct job_array *a);
struct forecast;
/* Tells it of all live arrays of which that is known. */
void arrays_tell_forecast(const struct job_table *t, struct forecast *f);
/* The element has ended: its array's record counts it. */
void arrays_count_end(struct job_table *t, const struct job *element);
/* Who canceled an array canceled its elements. */
void arrays_tell_canceled(const struct job_table *t, struct job *element);
/* The array has ended: its cause in words. */
void arrays_say_end(struct job *job);

#endif
