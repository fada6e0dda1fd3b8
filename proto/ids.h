/*
 * Ids are types, so that a node's id can't be passed for a job's. 0 is no id at all, for each of them.
 * Header only: the core uses it and links to nothing.
 */
#ifndef BERTH_PROTO_IDS_H
#define BERTH_PROTO_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stays below 2^53, so that it is a number in JSON. */
struct job_id {
    uint64_t v;
};

struct node_id {
    uint32_t v;
};

/* The stable owner id that the journal records; the daemon maps login names to it. */
struct principal_id {
    uint32_t v;
};

/* One rank of one attempt at a job. Attempts count from 1, ranks from 0. Text form: JOB.ATTEMPT.RANK. */
struct task_id {
    struct job_id job;
    uint32_t attempt;
    uint32_t rank;
};

#define JOB_ID_MAX ((UINT64_C(1) << 53) - 1)
/* Longest text form of a task's id with its final 0 byte: 16 + 1 + 10 + 1 + 10 + 1. */
#define TASK_ID_TEXT_MAX 40

static inline bool job_id_equal(struct job_id a, struct job_id b)
{
    return a.v == b.v;
}

static inline bool node_id_equal(struct node_id a, struct node_id b)
{
    return a.v == b.v;
}

static inline bool task_id_equal(struct task_id a, struct task_id b)
{
    return a.job.v == b.job.v && a.attempt == b.attempt && a.rank == b.rank;
}

static inline char *ids_put_decimal(char *at, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    while (n)
        *at++ = digits[--n];
    return at;
}

/* Writes the text form into out and returns out. */
static inline const char *task_id_format(struct task_id id, char out[TASK_ID_TEXT_MAX])
{
    char *at = ids_put_decimal(out, id.job.v & JOB_ID_MAX);
    *at++ = '.';
    at = ids_put_decimal(at, id.attempt);
    *at++ = '.';
    at = ids_put_decimal(at, id.rank);
    *at = '\0';
    return out;
}

/* One decimal number without sign or leading zeros, at most max; moves *at behind it. */
static inline bool ids_take_decimal(const char **at, uint64_t max, uint64_t *out)
{
    const char *p = *at;
    uint64_t v = 0;
    if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *at = p;
    *out = v;
    return true;
}

/* The whole text must be JOB.ATTEMPT.RANK with a job and an attempt that are not 0. *out is set on true only.
 */
static inline bool task_id_parse(const char *text, struct task_id *out)
{
    uint64_t job, attempt, rank;
    if (!ids_take_decimal(&text, JOB_ID_MAX, &job) || *text++ != '.' ||
        !ids_take_decimal(&text, UINT32_MAX, &attempt) || *text++ != '.' ||
        !ids_take_decimal(&text, UINT32_MAX, &rank) || *text != '\0' || job == 0 || attempt == 0)
        return false;
    *out = (struct task_id){{job}, (uint32_t)attempt, (uint32_t)rank};
    return true;
}

#endif
