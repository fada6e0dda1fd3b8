/*
 * Waiting jobs in order: two treaps (those in their turn, those set aside because no usable node could hold
 * them) whose links lie in the job records. Order: class, then priority, both high first, then submit order.
 * A treap's weights are a fixed hash of the id, so its shape follows from its members alone.
 */
#include "scheduler/core/arena.h"

int queue_of(const struct job_facts *facts)
{
    if (!facts->present || facts->state != JOB_QUEUED)
        return QUEUE_NONE;
    return facts->reason == CORE_REASON_WAITING || facts->reason == CORE_REASON_REQUEUED ? QUEUE_TURN
                                                                                         : QUEUE_ASIDE;
}

/* Smaller is earlier. */
void queue_key(const struct job_facts *facts, uint64_t key[3])
{
    uint32_t urgency = UINT32_MAX - ((uint32_t)facts->priority ^ UINT32_C(0x80000000));
    key[0] = ((uint64_t)(PRIORITY_CLASS_COUNT - facts->priority_class) << 32) | urgency;
    key[1] = facts->seq;
    key[2] = facts->id;
}

int queue_compare(const uint64_t a[3], const uint64_t b[3])
{
    for (int i = 0; i < 3; i++) {
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    }
    return 0;
}

uint64_t queue_weight(uint64_t id)
{
    return core_mix(id ^ UINT64_C(0x5bd1e9955bd1e995));
}

static bool heavier(const struct core *core, uint32_t a, uint32_t b)
{
    uint64_t ia = core->jobs[a].facts.id, ib = core->jobs[b].facts.id;
    uint64_t wa = queue_weight(ia), wb = queue_weight(ib);
    return wa != wb ? wa > wb : ia > ib;
}

static bool earlier(const struct core *core, uint32_t a, const uint64_t key[3])
{
    uint64_t mine[3];
    queue_key(&core->jobs[a].facts, mine);
    return queue_compare(mine, key) < 0;
}

static void resize(struct core *core, uint32_t slot)
{
    struct job *j = &core->jobs[slot];
    j->size = 1 + core->jobs[j->left].size + core->jobs[j->right].size; /* slot 0 has size 0 */
}

/* Those before key into *left, the others into *right. */
static void split(struct core *core, uint32_t tree, const uint64_t key[3], uint32_t *left, uint32_t *right)
{
    if (!tree) {
        *left = *right = 0;
    } else if (earlier(core, tree, key)) {
        split(core, core->jobs[tree].right, key, &core->jobs[tree].right, right);
        *left = tree;
        resize(core, tree);
    } else {
        split(core, core->jobs[tree].left, key, left, &core->jobs[tree].left);
        *right = tree;
        resize(core, tree);
    }
}

static uint32_t merge(struct core *core, uint32_t left, uint32_t right)
{
    if (!left || !right)
        return left ? left : right;
    if (heavier(core, left, right)) {
        core->jobs[left].right = merge(core, core->jobs[left].right, right);
        resize(core, left);
        return left;
    }
    core->jobs[right].left = merge(core, left, core->jobs[right].left);
    resize(core, right);
    return right;
}

static uint32_t *root_of(struct core *core, uint32_t slot)
{
    int queue = queue_of(&core->jobs[slot].facts);
    CORE_ASSERT(queue != QUEUE_NONE);
    return queue == QUEUE_TURN ? &core->h->queue_root : &core->h->aside_root;
}

void queue_add(struct core *core, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    uint64_t key[3];
    queue_key(&job->facts, key);
    uint32_t *link = root_of(core, slot);
    while (*link && heavier(core, *link, slot)) {
        struct job *at = &core->jobs[*link];
        at->size++;
        link = earlier(core, *link, key) ? &at->right : &at->left;
    }
    uint32_t below = *link;
    *link = slot;
    split(core, below, key, &job->left, &job->right);
    resize(core, slot);
}

void queue_remove(struct core *core, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    uint64_t key[3];
    queue_key(&job->facts, key);
    uint32_t *link = root_of(core, slot);
    while (*link != slot) {
        CORE_ASSERT(*link);
        struct job *at = &core->jobs[*link];
        at->size--;
        link = earlier(core, *link, key) ? &at->right : &at->left;
    }
    *link = merge(core, job->left, job->right);
    job->left = job->right = job->size = 0;
}

uint32_t queue_first(const struct core *core, uint32_t root)
{
    while (root && core->jobs[root].left)
        root = core->jobs[root].left;
    return root;
}

uint32_t queue_at(const struct core *core, uint32_t root, uint32_t index)
{
    while (root) {
        uint32_t before = core->jobs[core->jobs[root].left].size;
        if (index == before)
            return root;
        if (index < before) {
            root = core->jobs[root].left;
        } else {
            index -= before + 1;
            root = core->jobs[root].right;
        }
    }
    return 0;
}

uint32_t queue_rank(const struct core *core, uint32_t root, uint32_t slot)
{
    uint64_t key[3];
    uint32_t rank = 0;
    queue_key(&core->jobs[slot].facts, key);
    while (root) {
        if (earlier(core, root, key)) {
            rank += core->jobs[core->jobs[root].left].size + 1;
            root = core->jobs[root].right;
        } else {
            root = core->jobs[root].left;
        }
    }
    return rank;
}

uint32_t queue_from(const struct core *core, uint32_t root, const uint64_t key[3])
{
    uint32_t best = 0;
    while (root) {
        if (earlier(core, root, key)) {
            root = core->jobs[root].right;
        } else {
            best = root;
            root = core->jobs[root].left;
        }
    }
    return best;
}
