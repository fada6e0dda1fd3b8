/*
 * Capacity that is kept for short jobs: for which jobs, and on which nodes. Owns the table of the shapes that
 * short jobs have had of late, in the header. Invariant: nothing is kept on a node that none of them could
 * use now, nor where starting a job takes nothing away that they use.
 */
#include <string.h>

#include "scheduler/core/step.h"

#define PART_WHOLE 65536u     /* all short jobs of late */
#define PART_JOBS 64          /* submits after which a shape that nobody has any more fades to a third */
#define KEEP_NODES_MAX 256    /* nodes that are looked at, unless the job wants more than that at once */
#define PART_LEAST_OF_WHOLE 8 /* what less than an eighth of them could use is kept for nobody */

static bool same_shape(const struct short_shape *shape, const struct job_facts *job)
{
    struct shape_key key = shape_key_of(job);
    return shape->part && shape->instance_count == job->instance_count &&
           memcmp(&shape->key, &key, sizeof key) == 0;
}

void short_jobs_note(struct core *core, const struct job_facts *job)
{
    struct short_shape *shapes = core->h->short_shapes, *into = NULL, *least = shapes;
    if (job->reservation || order_is_long(core->order, &job->order))
        return;
    for (struct short_shape *s = shapes; s < shapes + SHORT_SHAPES_MAX; s++) {
        s->part -= (s->part + PART_JOBS - 1) / PART_JOBS;
        if (same_shape(s, job))
            into = s;
        if (s->part < least->part)
            least = s;
    }
    if (!into) {
        *least = (struct short_shape){.key = shape_key_of(job), .instance_count = job->instance_count};
        into = least;
    }
    into->part += PART_WHOLE / PART_JOBS;
}

/* Whether what is kept is enough for one of them at all. */
static bool is_enough(const struct core *core, const struct short_shape *shape)
{
    return learn_share(core, &shape->key.request, shape->instance_count) <= order_room(core->order);
}

/* Whether it could start now with a task on the node. */
static bool could_use(const struct core *core, const struct short_shape *shape, const struct node *node)
{
    uint32_t nodes = 1;
    if (!node_fits(node, &shape->key, false))
        return false;
    if (shape->instance_count == 1)
        return true;
    uint32_t at = tree_find(core, &shape->key, 1);
    for (; at && nodes < shape->instance_count; nodes++)
        at = tree_find(core, &shape->key, at + 1);
    return at != 0;
}

/* Whether the job takes something there that the short one would use: of what it takes most of, or so much
 * that the short one doesn't fit any more. */
static bool takes_from(const struct job_facts *job, int dominant, const struct short_shape *shape,
                       const struct node *node)
{
    struct caps left = node->free, mine = caps_of(node, &job->request),
                theirs = caps_of(node, &shape->key.request);
    return learn_wants_of(&shape->key.request, dominant) || !caps_take(&left, &mine) ||
           !caps_fit(&theirs, &left);
}

bool short_jobs_keep_node(const struct core *core, const struct job_facts *job, uint32_t node_slot)
{
    const struct node *node = &core->nodes[node_slot];
    uint32_t all = 0, part = 0;
    int dominant = learn_dominant(core, job);
    for (const struct short_shape *s = core->h->short_shapes; s < core->h->short_shapes + SHORT_SHAPES_MAX;
         s++) {
        all += s->part;
        if (s->part && is_enough(core, s) && could_use(core, s, node) && takes_from(job, dominant, s, node))
            part += s->part;
    }
    return part && part >= all / PART_LEAST_OF_WHOLE;
}

bool short_jobs_leave_enough(const struct core *core, const struct job_facts *job)
{
    struct shape_key key = shape_key_of(job);
    uint32_t open = 0, want = job->instance_count, at = tree_find(core, &key, 1);
    uint32_t left = want > KEEP_NODES_MAX ? want : KEEP_NODES_MAX;
    for (; at && open < want && left; left--, at = tree_find(core, &key, at + 1))
        open += !short_jobs_keep_node(core, job, at);
    return open >= want;
}

bool short_jobs_fit_node(const struct core *core, const struct node *node)
{
    for (const struct short_shape *s = core->h->short_shapes; s < core->h->short_shapes + SHORT_SHAPES_MAX;
         s++) {
        if (s->part && could_use(core, s, node))
            return true;
    }
    return false;
}

const char *check_short_jobs(const struct core *core)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < SHORT_SHAPES_MAX; i++)
        all += core->h->short_shapes[i].part;
    return all <= PART_WHOLE ? NULL : "short jobs: their shapes are more than all of them";
}
